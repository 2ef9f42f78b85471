//! See `targets::chunk_framing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    strongroom_fuzz::targets::chunk_framing(data);
});

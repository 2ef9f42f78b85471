//! See `targets::sigv4_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    strongroom_fuzz::targets::sigv4_header(data);
});

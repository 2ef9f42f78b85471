//! See `targets::sigv4_query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    strongroom_fuzz::targets::sigv4_query(data);
});

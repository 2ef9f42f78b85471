//! See `targets::sse_c_headers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    strongroom_fuzz::targets::sse_c_headers(data);
});

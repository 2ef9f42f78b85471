//! See `targets::post_form`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    strongroom_fuzz::targets::post_form(data);
});

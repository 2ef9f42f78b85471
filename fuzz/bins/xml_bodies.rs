//! See `targets::xml_bodies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    strongroom_fuzz::targets::xml_bodies(data);
});

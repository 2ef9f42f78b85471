//! Gives libFuzzer's inputs to the target that the environment's `TARGET` names.
#![no_main]

mod targets;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    #[expect(
        clippy::disallowed_methods,
        reason = "libFuzzer takes the arguments for itself"
    )]
    let wanted = std::env::var("TARGET").unwrap_or_default();
    let found = targets::ALL.iter().find(|(name, _)| *name == wanted);
    found.expect("TARGET names a folder of corpus/").1
});

fuzz_target!(|data: &[u8]| {
    TARGET(data);
});

//! The fuzz targets hold for every input of their corpora, take those named `right…` as good, and
//! refuse those named `wrong…`.

#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn corpora() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

#[test]
fn every_target_holds_for_its_corpus() {
    for (name, target) in targets::ALL {
        let mut good = 0;
        for entry in fs::read_dir(corpora().join(name)).expect(name) {
            let path = entry.expect(name).path();
            let file = path.file_name().expect(name).to_string_lossy();
            // So that a panic is known to be of this input.
            println!("{name}/{file}");
            let is_good = target(&fs::read(&path).expect(name));
            assert!(is_good || !file.starts_with("right"), "{name}/{file}");
            assert!(!is_good || !file.starts_with("wrong"), "{name}/{file}");
            good += usize::from(is_good);
        }
        assert!(good > 0, "{name} has no good input");
    }
}

#[test]
fn every_corpus_has_a_target() {
    let folders = fs::read_dir(corpora()).expect("the corpora are there");
    let folders = folders.map(|entry| entry.expect("it is readable").file_name());
    let names = targets::ALL.iter().map(|(name, _)| (*name).into());
    assert_eq!(
        folders.collect::<BTreeSet<_>>(),
        names.collect::<BTreeSet<_>>()
    );
}

//! The fuzz targets hold for every input of their corpora, and take those named `right` as good.

#[path = "../../../fuzz/src/targets.rs"]
pub mod targets;

use std::path::Path;

#[track_caller]
fn replay(name: &str, target: fn(&[u8]) -> bool) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(name);
    let mut good = 0;
    for entry in std::fs::read_dir(dir).expect("the corpus is there") {
        let entry = entry.expect("the corpus is readable");
        let is_good = target(&std::fs::read(entry.path()).expect("the input is readable"));
        if entry.file_name().to_string_lossy().starts_with("right") {
            assert!(is_good, "{name}: {}", entry.path().display());
            good += 1;
        }
    }
    assert!(good > 0, "{name} has no good input");
}

#[test]
fn every_target_holds_for_its_corpus() {
    replay("sigv4_header", targets::sigv4_header);
    replay("sigv4_query", targets::sigv4_query);
    replay("chunk_framing", targets::chunk_framing);
    replay("sse_c_headers", targets::sse_c_headers);
    replay("xml_bodies", targets::xml_bodies);
    replay("range", targets::range);
    replay("post_form", targets::post_form);
}

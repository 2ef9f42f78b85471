//! Writes `docs/openapi.json` anew from the code.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::write(root.join("docs/openapi.json"), strongroom_api::openapi())
}

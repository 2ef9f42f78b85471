//! Crates depend on lower layers only.

use std::fs;
use std::path::{Path, PathBuf};

/// Which crates of ours each crate may name, lowest layer first.
const LAYERS: [(&str, &[&str]); 13] = [
    ("strongroom-core", &[]),
    ("strongroom-wire", &[]),
    ("strongroom-keyring", CORE),
    ("strongroom-records", CORE),
    ("strongroom-s3", CORE),
    ("strongroom-objects", S3),
    ("strongroom-session", CORE),
    ("strongroom-audit", CORE),
    ("strongroom-jwks", SESSION),
    ("strongroom-client", CORE),
    ("strongroom", CAPABILITIES),
    ("strongroom-api", SERVICE),
    ("strongroom-cli", ALL),
];
const CORE: &[&str] = &["strongroom-core", "strongroom-wire"];
const S3: &[&str] = &["strongroom-core", "strongroom-wire", "strongroom-s3"];
const SESSION: &[&str] = &["strongroom-core", "strongroom-wire", "strongroom-session"];
const CAPABILITIES: &[&str] = &[
    "strongroom-core",
    "strongroom-wire",
    "strongroom-keyring",
    "strongroom-records",
    "strongroom-s3",
    "strongroom-objects",
    "strongroom-session",
    "strongroom-audit",
];
const SERVICE: &[&str] = &[
    "strongroom-core",
    "strongroom-wire",
    "strongroom-keyring",
    "strongroom-records",
    "strongroom-s3",
    "strongroom-objects",
    "strongroom-session",
    "strongroom-audit",
    "strongroom-jwks",
    "strongroom",
];
const ALL: &[&str] = &[
    "strongroom-core",
    "strongroom-wire",
    "strongroom-keyring",
    "strongroom-records",
    "strongroom-s3",
    "strongroom-objects",
    "strongroom-session",
    "strongroom-audit",
    "strongroom-jwks",
    "strongroom-client",
    "strongroom",
    "strongroom-api",
];

/// How sources use the crates that the replay of the corpora has.
const CRATES: [&str; 7] = [
    concat!("strongroom_audit", "::"),
    concat!("strongroom_cli", "::"),
    concat!("strongroom_core", "::"),
    concat!("strongroom_keyring", "::"),
    concat!("strongroom_s3", "::"),
    concat!("strongroom_session", "::"),
    concat!("strongroom_wire", "::"),
];

/// The crates of ours that a manifest names, also for its own tests.
fn named_by(manifest: &toml::Table) -> Vec<String> {
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"].into_iter();
    let tables = tables.filter_map(|name| manifest.get(name)?.as_table());
    let names = tables.flat_map(|table| table.keys().cloned());
    names
        .filter(|name| name.starts_with("strongroom"))
        .collect()
}

#[test]
fn every_crate_depends_on_lower_layers_only() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut seen = Vec::new();
    for entry in fs::read_dir(crates).unwrap() {
        let path = entry.unwrap().path().join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let manifest: toml::Table = text.parse().unwrap();
        let name = manifest["package"]["name"].as_str().unwrap().to_owned();
        let folder = path.parent().unwrap().file_name().unwrap();
        assert_eq!(
            folder.to_str(),
            Some(name.as_str()),
            "a folder is named as its crate"
        );
        let allowed = LAYERS.iter().find(|(layer, _)| *layer == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name} is in no layer"));
        for dependency in named_by(&manifest) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} must not know {dependency}"
            );
        }
        seen.push(name);
    }
    assert_eq!(seen.len(), LAYERS.len(), "{seen:?}");
}

/// The sources below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn the_harness_knows_the_program_from_outside_alone() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(tests.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let named = manifest["dependencies"].as_table().unwrap().keys();
    assert_eq!(
        named
            .filter(|name| name.starts_with("strongroom"))
            .collect::<Vec<_>>(),
        [""; 0]
    );
    // Only the replay of the corpora may, which is no end-to-end test.
    let folders = ["src", "tests/e2e", "tests/load"];
    let files: Vec<_> = folders
        .iter()
        .flat_map(|folder| sources(&tests.join(folder)))
        .collect();
    assert!(files.len() > folders.len());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let ours = CRATES.iter().filter(|name| text.contains(**name));
        let ours: Vec<_> = ours.collect();
        assert!(ours.is_empty(), "{}: {ours:?}", file.display());
    }
}

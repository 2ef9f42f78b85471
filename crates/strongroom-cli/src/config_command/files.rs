//! The files that a configuration names: there, readable, private where they are secret, and what
//! they should be. Nothing is written and nothing locked, so a vault may run meanwhile.

use crate::config::{Checks, Config, TlsSection};
use crate::{client, serve, stores, system_now, tls};
use std::path::Path;
use strongroom_keyring::file as keyring_file;

pub(super) fn check(config: &Config, checks: &mut Checks) {
    check_data(config, checks);
    let tls = [("api.tls", &config.api.tls), ("s3.tls", &config.s3.tls)];
    for (section, files) in tls {
        if let Some(files) = files {
            check_tls(config, section, files, checks);
        }
    }
    if let Some(file) = &config.s3.secret_access_key_file {
        let read = stores::read_signing_secret(&config.path(file));
        note(checks, "s3.secret_access_key_file", read);
    }
    for (index, credential) in config.s3.credential.iter().enumerate() {
        let key = format!("s3.credential {} secret_access_key_file", index + 1);
        let path = config.path(&credential.secret_access_key_file);
        note(checks, &key, stores::read_signing_secret(&path));
    }
    check_sources(config, checks);
    let made = [
        ("log.file", &config.log.file),
        ("admin.socket", &config.admin.socket),
    ];
    for (key, file) in made {
        let dir = file.as_deref().map(|file| config.path(file));
        let dir = dir.as_deref().and_then(Path::parent);
        checks.require(
            dir.is_none_or(Path::is_dir),
            &[key],
            "its directory is not there",
        );
    }
    if let Some(file) = &config.client.ca_file {
        note(
            checks,
            "client.ca_file",
            tls::check_chain(&config.path(file)),
        );
    }
    // It belongs to the application, which may live elsewhere.
    let signing_key = config.path(&config.client.signing_key_file);
    if signing_key.exists() {
        let read = client::check_signing_key(&signing_key);
        note(checks, "client.signing_key_file", read);
    }
}

fn note<T>(checks: &mut Checks, key: &str, result: anyhow::Result<T>) {
    if let Err(error) = result {
        let message = format!("{error:#}");
        // Whoever opened it may have named it too.
        let message = message.trim_start_matches(&format!("{key}: "));
        checks.require(false, &[key], message);
    }
}

fn check_data(config: &Config, checks: &mut Checks) {
    let data = stores::check_data_dir(config);
    let has_data = data.is_ok();
    note(checks, "data_dir", data);
    let master = keyring_file::read_master_key(&config.path(&config.master_key_file));
    let has_master = master.is_ok();
    note(checks, "master_key_file", master.map_err(Into::into));
    if has_data && has_master {
        note(checks, "data_dir", stores::read_keyring(config));
    }
}

fn check_tls(config: &Config, section: &'static str, files: &TlsSection, checks: &mut Checks) {
    let pair = tls::Pair::new(section, files, |path| config.path(path), system_now);
    note(checks, section, pair.check());
}

/// Each source by itself, then all of them together.
fn check_sources(config: &Config, checks: &mut Checks) {
    let mut sound = true;
    for (index, source) in config.key_source.iter().enumerate() {
        let mut alone = config.clone();
        alone.key_source = vec![source.clone()];
        let opened = serve::open_key_sources(&alone);
        sound &= opened.is_ok();
        note(checks, &format!("key_source {}", index + 1), opened);
    }
    if sound {
        note(checks, "key_source", serve::open_key_sources(config));
    }
}

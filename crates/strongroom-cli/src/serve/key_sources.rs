//! From `[[key_source]]` to keys: reads the files that stay, and names the issuers that are asked.

use crate::config::{Config, JwksSection, KeySource, SessionSection};
use anyhow::Context;
use std::fs;
use std::path::Path;
use strongroom_jwks::{Issuer, JwksUrl, KeySources, Limits};
use strongroom_session::{KeySourceConfig, PublicKey, Rules, Verifier};

/// Longest file of certificates that is read.
const CA_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads every key file. Nobody is asked for keys yet.
pub(crate) fn open(config: &Config) -> anyhow::Result<KeySources> {
    let mut sources = Vec::new();
    let mut issuers = Vec::new();
    for source in &config.key_source {
        sources.push(read_source(config, source)?);
        if let Some(url) = &source.jwks_url {
            let of = || format!("key source `{}`", source.name);
            let ca_file = source.jwks_ca_file.as_deref();
            issuers.push(Issuer {
                source: source.name.clone(),
                url: JwksUrl::parse(url).context("jwks_url").with_context(of)?,
                ca_pem: ca_file
                    .map(|file| read_ca(&config.path(file)))
                    .transpose()?,
            });
        }
    }
    let verifier = Verifier::new(sources, rules(&config.session)).context("key_source")?;
    let seed = getrandom::u64().context("the system has no random numbers")?;
    KeySources::new(verifier, issuers, limits(&config.jwks), seed).context("key_source")
}

fn read_source(config: &Config, source: &KeySource) -> anyhow::Result<KeySourceConfig> {
    let mut keys = Vec::new();
    for file in &source.public_key_files {
        let path = config.path(file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let key = PublicKey::from_pem(&text)
            .or_else(|error| PublicKey::from_pkcs1_base64(text.trim()).map_err(|_| error));
        keys.push(key.with_context(|| path.display().to_string())?);
    }
    let subjects = source.subjects.iter();
    Ok(KeySourceConfig {
        name: source.name.clone(),
        keys,
        fetched: source.jwks_url.is_some(),
        subjects: subjects.map(|subject| (*subject).into()).collect(),
        iss: source.iss.clone(),
        aud: source.aud.clone(),
    })
}

fn read_ca(path: &Path) -> anyhow::Result<Vec<u8>> {
    let shown = || path.display().to_string();
    let length = fs::metadata(path).with_context(shown)?.len();
    anyhow::ensure!(
        length <= CA_FILE_BYTES_MAX,
        "{}: longer than {CA_FILE_BYTES_MAX} bytes",
        shown()
    );
    fs::read(path).with_context(shown)
}

fn rules(session: &SessionSection) -> Rules {
    Rules {
        leeway_s: session.leeway.0.as_secs(),
        allow_unbounded: session.allow_unbounded,
        lifetime_max_s: session.lifetime_max.0.as_secs(),
        cache_max: session.cache_max,
        jwt_bytes_max: session.jwt_bytes_max.as_usize(),
    }
}

fn limits(jwks: &JwksSection) -> Limits {
    Limits {
        stale_max: jwks.stale_max.0,
        refresh: jwks.refresh.0,
        refresh_max: jwks.refresh_max.0,
        fetch_interval_min: jwks.fetch_interval_min.0,
        timeout: jwks.timeout.0,
        body_bytes_max: jwks.body_bytes_max.as_usize(),
        keys_max: jwks.keys_max,
    }
}

//! Sessions: JWTs as the application mints them, signed with the key that `strongroom init`
//! made for it.

use std::path::Path;

use anyhow::Context;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use crate::clock;

/// Life of a session's JWT.
const LIFE_S: u64 = 15 * 60;

/// The claims of a session's JWT.
#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    session_id: String,
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

/// The JWTs of some sessions of one subject, all minted at one time.
pub(crate) struct Sessions {
    /// One compact JWT for each session.
    pub(crate) jwts: Vec<String>,
    minted_s: u64,
}

impl Sessions {
    /// Mints the JWTs of the sessions `bench-0`, `bench-1`, ..., valid from `minted_s` on.
    pub(crate) fn mint(
        key_pem: &Path,
        subject: &str,
        count: usize,
        minted_s: u64,
    ) -> anyhow::Result<Self> {
        let pem =
            std::fs::read(key_pem).with_context(|| format!("cannot read {}", key_pem.display()))?;
        let key = EncodingKey::from_rsa_pem(&pem).context("the application's key is no RSA key")?;
        let jwts = (0..count)
            .map(|index| jwt(&key, subject, index, minted_s))
            .collect::<Result<_, _>>()?;
        Ok(Self { jwts, minted_s })
    }

    /// Whether a third of the JWTs' life is over.
    pub(crate) fn is_old(&self) -> bool {
        clock::unix_s() > self.minted_s + LIFE_S / 3
    }
}

fn jwt(key: &EncodingKey, subject: &str, index: usize, now_s: u64) -> anyhow::Result<String> {
    let claims = Claims {
        sub: subject,
        session_id: format!("bench-{index}"),
        iss: "node-sdk",
        aud: "secure-frame",
        iat: now_s,
        exp: now_s + LIFE_S,
    };
    encode(&Header::new(Algorithm::RS256), &claims, key).context("cannot sign a JWT")
}

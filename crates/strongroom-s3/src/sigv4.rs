//! AWS Signature Version 4: the signing key of a day, canonical texts, dates.
//!
//! Shared by the presigner and by the endpoint's verification, so that both mean the same. Source:
//! AWS, *Signature Version 4 signing process*. Must not know HTTP types or objects.

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use strongroom_core::UnixMillis;
use strongroom_core::secret::StoreKey;
use zeroize::Zeroizing;

/// The only algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Longest life of a presigned URL: 7 days, in seconds.
pub const EXPIRES_S_MAX: u32 = 604_800;
/// RFC 3986 unreserved characters stay, everything else is percent-encoded.
pub const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// As [`UNRESERVED`], for the path: slashes stay.
pub const UNRESERVED_PATH: &AsciiSet = &UNRESERVED.remove(b'/');

const SECS_PER_DAY: u64 = 86_400;

/// The secret access key that presigned URLs are signed with; wiped on drop, never printed.
pub struct SigningSecret(Zeroizing<String>);

impl SigningSecret {
    /// From the operator's configuration.
    pub fn new(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// The embedded store's own secret: lower-case hex of
    /// `HMAC-SHA-256(store key, "strongroom.v1.presign\0")`.
    pub fn derived(store_key: &StoreKey) -> Self {
        let key = hmac::Key::new(HMAC_SHA256, store_key.expose());
        Self::new(hex::encode(hmac::sign(&key, b"strongroom.v1.presign\0")))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// The signing key of one day and region.
pub struct DayKey {
    day: u64,
    /// `yyyymmdd`
    pub date: String,
    key: hmac::Key,
}

impl DayKey {
    /// Lower-case hex of the signature over a canonical request's digest.
    pub fn sign(&self, region: &str, time: &str, digest: &[u8]) -> [u8; 64] {
        self.sign_digests(ALGORITHM, region, time, &[&hex_digest(digest)])
    }

    /// As [`Self::sign`], over what is chained in chunked bodies: each of `lines` is hexadecimal.
    pub(crate) fn sign_digests(
        &self,
        algorithm: &str,
        region: &str,
        time: &str,
        lines: &[&[u8; 64]],
    ) -> [u8; 64] {
        let scope = [&self.date, "/", region, "/s3/aws4_request"].concat();
        let mut text = [algorithm, "\n", time, "\n", &scope].concat().into_bytes();
        for line in lines {
            text.push(b'\n');
            text.extend_from_slice(*line);
        }
        self.sign_text(&text)
    }

    /// Lower-case hex of the signature over a text as it is (a form's policy).
    pub fn sign_text(&self, text: &[u8]) -> [u8; 64] {
        hex_digest(hmac::sign(&self.key, text).as_ref())
    }
}

/// Lower-case hex of 32 bytes.
pub(crate) fn hex_digest(digest: &[u8]) -> [u8; 64] {
    let mut digits = [0; 64];
    // INVARIANT: SHA-256 has 32 bytes, 64 digits; a failure leaves zeros, which match nothing.
    let _ = hex::encode_to_slice(digest, &mut digits);
    digits
}

/// Makes day keys and keeps the newest.
pub struct Signer {
    /// The one region that its signatures are for.
    pub region: String,
    secret: SigningSecret,
    newest: Mutex<Option<Arc<DayKey>>>,
}

impl Signer {
    /// Of one secret access key, for one region.
    pub fn new(region: String, secret: SigningSecret) -> Self {
        Self {
            region,
            secret,
            newest: Mutex::new(None),
        }
    }

    /// The key of the day that `at` lies in (UTC).
    pub fn day_key(&self, at: UnixMillis) -> Arc<DayKey> {
        let day = at.secs() / SECS_PER_DAY;
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = newest.as_ref().filter(|key| key.day == day) {
            return Arc::clone(key);
        }
        let key = Arc::new(self.derive(day));
        // A URL of yesterday must not push today's key out.
        if newest.as_ref().is_none_or(|kept| kept.day < day) {
            *newest = Some(Arc::clone(&key));
        }
        key
    }

    fn derive(&self, day: u64) -> DayKey {
        let date = date_text(day);
        let start = Zeroizing::new([b"AWS4", self.secret.0.as_bytes()].concat());
        let step =
            |key: &[u8], data: &str| hmac::sign(&hmac::Key::new(HMAC_SHA256, key), data.as_bytes());
        let key = step(&start, &date);
        let key = step(key.as_ref(), &self.region);
        let key = step(key.as_ref(), "s3");
        let key = step(key.as_ref(), "aws4_request");
        DayKey {
            day,
            date,
            key: hmac::Key::new(HMAC_SHA256, key.as_ref()),
        }
    }
}

/// A canonical request being hashed, piece by piece.
pub struct Canonical(Context);

impl Canonical {
    /// Method, path and query, all already canonical.
    pub fn new(method: &str, path: &str, query: &str) -> Self {
        let mut canonical = Self(Context::new(&SHA256));
        canonical.push(&[method, "\n", path, "\n", query, "\n"]);
        canonical
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.0.update(part.as_bytes());
        }
    }

    /// One signed header; call in the order of the names.
    pub fn header(&mut self, name: &str, value: &str) {
        self.push(&[name, ":", value, "\n"]);
    }

    /// The digest, for an unsigned payload.
    pub fn finish(self, signed_headers: &str) -> aws_lc_rs::digest::Digest {
        self.finish_with(signed_headers, "UNSIGNED-PAYLOAD")
    }

    /// The digest, with what stands in `x-amz-content-sha256`.
    pub fn finish_with(mut self, signed_headers: &str, payload: &str) -> aws_lc_rs::digest::Digest {
        self.push(&["\n", signed_headers, "\n", payload]);
        self.0.finish()
    }
}

/// `yyyymmdd` of a day since the epoch; the last representable day for absurd ones.
fn date_text(day: u64) -> String {
    let days = i32::try_from(day).unwrap_or(i32::MAX);
    let date = time::OffsetDateTime::UNIX_EPOCH
        .date()
        .checked_add(time::Duration::days(i64::from(days)))
        .unwrap_or(time::Date::MAX);
    format!(
        "{:04}{:02}{:02}",
        date.year(),
        u8::from(date.month()),
        date.day()
    )
}

/// Appends `yyyymmddThhmmssZ`, with the day's text already known.
pub fn push_time(out: &mut String, date: &str, at: UnixMillis) {
    let second = at.secs() % SECS_PER_DAY;
    out.push_str(date);
    out.push('T');
    for value in [second / 3600, second / 60 % 60, second % 60] {
        push_two_digits(out, value);
    }
    out.push('Z');
}

fn push_two_digits(out: &mut String, value: u64) {
    for digit in [value / 10, value % 10] {
        out.push(char::from_digit(u32::try_from(digit).unwrap_or(0), 10).unwrap_or('0'));
    }
}

/// `yyyymmddThhmmssZ` of an instant.
pub fn time_text(at: UnixMillis) -> String {
    let mut text = String::with_capacity(16);
    push_time(&mut text, &date_text(at.secs() / SECS_PER_DAY), at);
    text
}

/// Reads `yyyymmddThhmmssZ` strictly.
pub fn parse_time(text: &str) -> Option<UnixMillis> {
    let plain = text.len() == 16 && text.is_ascii();
    let (date, clock) = plain.then(|| text.split_at(8))?;
    let clock = clock.strip_prefix('T')?.strip_suffix('Z')?;
    if !date
        .bytes()
        .chain(clock.bytes())
        .all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let month = time::Month::try_from(date[4..6].parse::<u8>().ok()?).ok()?;
    let day =
        time::Date::from_calendar_date(date[..4].parse().ok()?, month, date[6..].parse().ok()?);
    let (hour, minute, second) = (
        clock[..2].parse().ok()?,
        clock[2..4].parse().ok()?,
        clock[4..].parse().ok()?,
    );
    let at = day
        .ok()?
        .with_hms(hour, minute, second)
        .ok()?
        .assume_utc()
        .unix_timestamp();
    u64::try_from(at).ok()?.checked_mul(1000).map(UnixMillis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_are_read_back(secs in 0u64..253_402_300_799) {
            let at = UnixMillis(secs * 1000);
            prop_assert_eq!(parse_time(&time_text(at)), Some(at));
        }

        #[test]
        fn hostile_times_never_panic(text in ".{0,20}", digits in "[0-9]{8}T[0-9]{6}Z") {
            let _ = parse_time(&text);
            let _ = parse_time(&digits);
        }
    }

    #[test]
    fn absurd_clocks_do_not_panic() {
        let signer = Signer::new("us-east-1".into(), SigningSecret::new("secret".into()));
        assert_eq!(signer.day_key(UnixMillis(u64::MAX)).date, "99991231");
    }

    #[test]
    fn secrets_are_not_printed_and_derivation_is_stable() {
        let secret = SigningSecret::derived(&StoreKey::init_with(|bytes| bytes.fill(1)));
        assert_eq!(format!("{secret:?}"), "[REDACTED]");
        let key = hmac::Key::new(HMAC_SHA256, &[1; 32]);
        let expected = hex::encode(hmac::sign(&key, b"strongroom.v1.presign\0"));
        assert_eq!(*secret.0, expected);
    }
}

//! When a certificate ends (`notAfter`, RFC 5280 §4.1.2.5). For a line in the log alone: clients
//! judge certificates, the server does not.

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT Version`.
const VERSION: u8 = 0xa0;

/// A time as RFC 5280 wants it, with a year of four digits.
const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day][hour][minute][second]Z");

/// The end of a certificate in DER, if it can be read.
pub(super) fn of(certificate: &[u8]) -> Option<OffsetDateTime> {
    let (certificate, _) = take(certificate, SEQUENCE)?;
    let (mut fields, _) = take(certificate, SEQUENCE)?;
    if let Some((_, rest)) = take(fields, VERSION) {
        fields = rest;
    }
    // Serial number, signature algorithm and issuer come before it.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, fields) = take(fields, tag)?;
    }
    let (validity, _) = take(fields, SEQUENCE)?;
    let (_, not_after) = time(validity)?;
    let (text, _) = time(not_after)?;
    let parsed = PrimitiveDateTime::parse(&text, FORMAT).ok()?;
    Some(parsed.assume_utc())
}

/// The time that stands first, with a year of four digits, and what follows it.
fn time(der: &[u8]) -> Option<(String, &[u8])> {
    if let Some((text, rest)) = take(der, GENERALIZED_TIME) {
        return Some((str::from_utf8(text).ok()?.to_owned(), rest));
    }
    let (text, rest) = take(der, UTC_TIME)?;
    let text = str::from_utf8(text).ok()?;
    // Two digits of the year: 50 to 99 are of the last century (RFC 5280 §4.1.2.5.1).
    let century = if text < "50" { "20" } else { "19" };
    Some((format!("{century}{text}"), rest))
}

/// The contents of the element that stands first, if it has this tag, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], mut rest) = der.split_first_chunk()?;
    let mut len = usize::from(first);
    if first >= 0x80 {
        let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 3 {
            return None;
        }
        len = digits
            .iter()
            .fold(0, |len, digit| len << 8 | usize::from(*digit));
        rest = after;
    }
    (found == tag).then_some(())?;
    rest.split_at_checked(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn certificate(end: OffsetDateTime) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_after = end;
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_on_both_sides_of_2050() {
        for year in [2020, 2049, 2050, 4096] {
            let end = date_time_ymd(year, 2, 3);
            assert_eq!(of(&certificate(end)), Some(end));
        }
    }

    #[test]
    fn a_cut_certificate_has_no_end_and_does_no_harm() {
        let whole = certificate(date_time_ymd(2030, 1, 1));
        for length in 0..whole.len() {
            assert_eq!(of(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] = 0xff;
            // Whatever it gives, it gives something.
            let _ = of(&changed);
        }
    }
}

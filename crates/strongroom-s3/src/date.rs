//! Dates as S3 writes and reads them, in whole seconds.

use strongroom_core::UnixMillis;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

fn date(at: UnixMillis) -> Option<OffsetDateTime> {
    let secs = i64::try_from(at.secs()).ok()?;
    OffsetDateTime::from_unix_timestamp(secs).ok()
}

/// RFC 9110 §5.6.7; empty beyond the year 9999.
pub fn http_date(at: UnixMillis) -> String {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    date(at)
        .and_then(|at| at.format(&format).ok())
        .unwrap_or_default()
}

/// Seconds since 1970 of such a date.
pub fn parse_http_date(text: &str) -> Option<u64> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let at = PrimitiveDateTime::parse(text, &format).ok()?;
    u64::try_from(at.assume_utc().unix_timestamp()).ok()
}

/// As in XML answers; empty beyond the year 9999.
pub fn iso_date(at: UnixMillis) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000Z");
    date(at)
        .and_then(|at| at.format(&format).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_as_aws_writes_them() {
        let at = UnixMillis(1_800_000_000_999);
        assert_eq!(http_date(at), "Fri, 15 Jan 2027 08:00:00 GMT");
        assert_eq!(iso_date(at), "2027-01-15T08:00:00.000Z");
        assert_eq!(parse_http_date(&http_date(at)), Some(1_800_000_000));
        assert_eq!(parse_http_date("yesterday"), None);
    }
}

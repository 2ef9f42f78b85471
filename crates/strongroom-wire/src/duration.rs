//! Durations in Go's notation (`time.ParseDuration`): `15m`, `1h30m`, `0.5h`, `-1.5s`.
//!
//! An optional sign, then one or more decimal numbers, each followed by its unit out of `ns`,
//! `us` (or `µs`), `ms`, `s`, `m`, `h`. A bare number is invalid, except `0`. There are no days.

const NANOS_PER_MILLI: i64 = 1_000_000;
/// Digits after the point that are looked at; more cannot move even an hour by a nanosecond.
const FRACTION_DIGITS_MAX: usize = 18;

/// The text is not a duration, or does not fit into 64 bits of nanoseconds (about 292 years).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a duration is a number with a unit (h, m, s, ms, us, ns), such as 15m or 1h30m")]
pub struct BadDuration;

/// Whole nanoseconds, possibly negative; what is below one is cut off.
pub fn parse_nanos(text: &str) -> Result<i64, BadDuration> {
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(BadDuration);
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let part;
        (part, rest) = number_with_unit(rest)?;
        // Each part is below 2^64 · 3.6e12 and the sum is checked, so this cannot overflow.
        nanos += part;
        if nanos > -i128::from(i64::MIN) {
            return Err(BadDuration);
        }
    }
    i64::try_from(if negative { -nanos } else { nanos }).map_err(|_| BadDuration)
}

/// Whole milliseconds, possibly negative; what is below one is cut off.
pub fn parse_millis(text: &str) -> Result<i64, BadDuration> {
    parse_nanos(text).map(|nanos| nanos / NANOS_PER_MILLI)
}

/// Whole seconds in the same notation, such as `900s`.
pub fn format_secs(secs: u64) -> String {
    format!("{secs}s")
}

/// Nanoseconds of the first number with its unit, and what follows it.
fn number_with_unit(text: &str) -> Result<(i128, &str), BadDuration> {
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(BadDuration);
    }
    let unit_len = rest
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_len);
    let unit = unit_nanos(unit).ok_or(BadDuration)?;
    // Leading zeros are not limited, digits that matter are: 2^63 ns have 19.
    let whole = whole.trim_start_matches('0');
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse::<u64>().map_err(|_| BadDuration)?.into()
    };
    Ok((whole * unit + fraction_nanos(fraction, unit), rest))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

fn fraction_nanos(digits: &str, unit: i128) -> i128 {
    let digits = &digits.as_bytes()[..digits.len().min(FRACTION_DIGITS_MAX)];
    let (value, scale) = digits
        .iter()
        .fold((0_i128, 1_i128), |(value, scale), digit| {
            (value * 10 + i128::from(digit - b'0'), scale * 10)
        });
    value * unit / scale
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        // Micro sign U+00B5 and Greek letter mu U+03BC.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn go_s_own_examples_are_read() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("+0", 0),
            ("5s", 5 * S),
            ("30s", 30 * S),
            ("1478s", 1478 * S),
            ("-5s", -5 * S),
            ("+5s", 5 * S),
            ("5.0s", 5 * S),
            ("5.6s", 5 * S + 600_000_000),
            ("5.s", 5 * S),
            (".5s", 500_000_000),
            ("1.0040s", S + 4_000_000),
            ("100.00100s", 100 * S + 1_000_000),
            ("10ns", 10),
            ("11us", 11_000),
            ("12µs", 12_000),
            ("12μs", 12_000),
            ("13ms", 13_000_000),
            ("14s", 14 * S),
            ("15m", 900 * S),
            ("16h", 57_600 * S),
            ("3h30m", 12_600 * S),
            ("10.5s4m", 250 * S + 500_000_000),
            ("-2m3.4s", -123 * S - 400_000_000),
            ("0.5h", 1800 * S),
            ("39h9m14.425s", 140_954 * S + 425_000_000),
            ("52763797000ns", 52_763_797_000),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("0.100000000000000000000h", 360 * S),
            ("0000000000000000000000001s", S),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(parse_nanos(text), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in [
            "",
            "3",
            "-",
            "+",
            "s",
            ".",
            "-.",
            ".s",
            "+.s",
            "1d",
            "1w",
            "15 m",
            " 15m",
            "15m ",
            "--5s",
            "+-5s",
            "1M",
            "1H",
            "1e3s",
            "1,5s",
            "1h-5m",
            "5\u{b5}",
            "1.2.3s",
            "1hh",
            "00",
            "0x1s",
            "１s",
            "\u{85}\u{85}",
            "\u{ffff}",
        ] {
            assert_eq!(parse_nanos(text), Err(BadDuration), "{text:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for text in [
            "9223372036854775808ns",
            "-9223372036854775809ns",
            "9223372036854775.808us",
            "9223372036.854775808s",
            "2562048h",
            "18446744073709551616ns",
            "99999999999999999999999999999999999999h",
            "9223372036854775807ns1ns",
        ] {
            assert_eq!(parse_nanos(text), Err(BadDuration), "{text}");
        }
    }

    #[test]
    fn milliseconds_are_cut_off_towards_zero() {
        assert_eq!(parse_millis("1h"), Ok(3_600_000));
        assert_eq!(parse_millis("999us"), Ok(0));
        assert_eq!(parse_millis("-1.9ms"), Ok(-1));
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused_without_panic(text in ".*") {
            let _ = parse_nanos(&text);
        }

        #[test]
        fn any_duration_like_text_parses_or_is_refused_without_panic(
            text in "[-+]?([0-9]{0,25}(\\.[0-9]{0,25})?(ns|us|µs|ms|s|m|h)){0,4}",
        ) {
            if let Ok(nanos) = parse_nanos(&text) {
                prop_assert_eq!(parse_millis(&text), Ok(nanos / NANOS_PER_MILLI));
            }
        }

        #[test]
        fn whole_seconds_come_back(secs in 0_u64..9_000_000_000) {
            let nanos = i64::try_from(secs).unwrap() * S;
            prop_assert_eq!(parse_nanos(&format_secs(secs)), Ok(nanos));
        }

        #[test]
        fn parts_add_up(h in 0_i64..1000, m in 0_i64..1000, s in 0_i64..1000, ns in 0_i64..1000) {
            let nanos = ((h * 60 + m) * 60 + s) * S + ns;
            prop_assert_eq!(parse_nanos(&format!("{h}h{m}m{s}s{ns}ns")), Ok(nanos));
            prop_assert_eq!(parse_nanos(&format!("-{h}h{m}m{s}s{ns}ns")), Ok(-nanos));
        }
    }
}

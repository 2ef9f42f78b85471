//! Durations (`"15m"`) and sizes (`"64KiB"`) with their units.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::time::Duration;

/// A duration: a whole number and `ms`, `s`, `m`, `h` or `d`; `"0"` needs no unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    pub(crate) const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    const UNITS: [(&str, u64); 5] = [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split(text)?;
        if number == 0 && unit.is_empty() {
            return Some(Self(Duration::ZERO));
        }
        let (_, ms) = Self::UNITS.iter().find(|(name, _)| *name == unit)?;
        Some(Self(Duration::from_millis(number.checked_mul(*ms)?)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom("a duration is a whole number and ms, s, m, h or d, as in \"15m\"")
        })
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.millis() {
            0 => serializer.serialize_str("0"),
            ms => serializer.serialize_str(&join(ms, &Self::UNITS)),
        }
    }
}

/// A size in bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    pub(crate) const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    pub(crate) const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    pub(crate) const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    pub(crate) fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    pub(crate) fn as_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    const UNITS: [(&str, u64); 4] = [
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = split(text)?;
        let (_, bytes) = Self::UNITS.iter().find(|(name, _)| *name == unit)?;
        number.checked_mul(*bytes).map(Self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom("a size is a whole number and B, KiB, MiB or GiB, as in \"64KiB\"")
        })
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&join(self.0, &Self::UNITS))
    }
}

/// In the largest unit that leaves a whole number.
fn join(count: u64, units: &[(&str, u64)]) -> String {
    let whole = units
        .iter()
        .rev()
        .find(|(_, unit)| count.is_multiple_of(*unit) && count > 0);
    let (name, unit) = whole.unwrap_or(&units[0]);
    format!("{}{name}", count / unit)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start_matches(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_and_sizes_read_as_written() {
        assert_eq!(Span::parse("15m"), Some(Span::secs(900)));
        assert_eq!(Span::parse("0"), Some(Span::secs(0)));
        assert_eq!(Span::parse("250ms").unwrap().millis(), 250);
        assert_eq!(Size::parse("64KiB"), Some(Size::kib(64)));
        assert_eq!(Size::parse("5 GiB"), Some(Size::gib(5)));
        for bad in [
            "",
            "15",
            "m",
            "-1m",
            "1.5h",
            "15 minutes",
            "99999999999999999999s",
        ] {
            assert_eq!(Span::parse(bad), None, "{bad}");
        }
        for bad in ["", "64", "64KB", "64kib", "-1B", "18446744073709551615GiB"] {
            assert_eq!(Size::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_panic(text in ".{0,30}") {
            let _ = (Span::parse(&text), Size::parse(&text));
        }

        #[test]
        fn what_is_written_reads_as_the_same(count in any::<u32>(), unit in 0_usize..5) {
            let count = u64::from(count);
            let span = Span(Duration::from_millis(count * Span::UNITS[unit].1));
            prop_assert_eq!(Span::parse(&join(span.millis(), &Span::UNITS)), Some(span));
            let size = Size(count * Size::UNITS[unit % 4].1);
            prop_assert_eq!(Size::parse(&join(size.0, &Size::UNITS)), Some(size));
        }
    }
}

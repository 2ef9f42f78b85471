//! Entity tags: random, never a digest, which would identify the value (RFC 9110 §8.8.3).
//!
//! An object put whole, and a part, has 16 random bytes written as a UUID is. Common tools take 32
//! hex digits for the MD5 of the bytes and call the transfer corrupted when it differs; a dash tells
//! them that it is none. An object of parts has 32 hex digits and `-N`, as AWS writes it.

use super::random;

/// Hex digits of 16 bytes.
const DIGITS: usize = 32;

/// For an object put whole, or a part.
pub(super) fn single() -> String {
    let digits = hex::encode(random::<16>());
    let cuts = [0..8, 8..12, 12..16, 16..20, 20..DIGITS];
    cuts.map(|cut| &digits[cut]).join("-")
}

/// For an object of `count` parts.
pub(super) fn of_parts(count: usize) -> String {
    format!("{}-{count}", hex::encode(random::<16>()))
}

/// Whether the object was uploaded in parts: one part is not the same as an object put whole.
pub(super) fn is_of_parts(tag: &str) -> bool {
    tag.find('-') == Some(DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_tag_looks_neither_like_an_md5_nor_like_that_of_parts() {
        let tag = single();
        assert_eq!(tag.len(), 36);
        assert_eq!(tag.matches('-').count(), 4);
        assert!(!is_of_parts(&tag));
        assert_ne!(tag, single());
    }

    #[test]
    fn a_tag_of_parts_says_how_many() {
        let tag = of_parts(7);
        assert_eq!((tag.len(), tag.ends_with("-7")), (34, true));
        assert!(is_of_parts(&tag));
    }

    #[test]
    fn a_tag_of_older_versions_is_one_of_an_object_put_whole() {
        assert!(!is_of_parts(&"0".repeat(DIGITS)));
        assert!(!is_of_parts(""));
    }
}

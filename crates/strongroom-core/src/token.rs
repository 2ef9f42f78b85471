//! Tokens: `lunasec-` and a UUID, random, meaning nothing by themselves.

use rand_core::CryptoRng;
use std::fmt;

const PREFIX: &str = "lunasec-";
/// Length of a token's text in bytes.
pub const TOKEN_BYTES: usize = 44;
const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// The text is not `lunasec-` followed by a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is `lunasec-` followed by a UUID")]
pub struct MalformedToken;

/// A token in canonical form: ASCII, lower case, 44 bytes.
///
/// Whoever holds a token holds half of what opens its value, so it has no `Display` and its
/// `Debug` says nothing.
pub struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// A new token around a random UUID (RFC 9562 §5.4, version 4).
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut uuid = [0; 16];
        rng.fill_bytes(&mut uuid);
        uuid[6] = (uuid[6] & 0x0f) | 0x40;
        uuid[8] = (uuid[8] & 0x3f) | 0x80;
        Self::from_uuid(uuid)
    }

    fn from_uuid(uuid: [u8; 16]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; TOKEN_BYTES];
        text[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        let mut at = PREFIX.len();
        let mut nibbles = uuid.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
        for group in GROUPS {
            for nibble in nibbles.by_ref().take(group) {
                text[at] = DIGITS[usize::from(nibble)];
                at += 1;
            }
            at += 1;
        }
        Self(text)
    }

    /// Parses either case and any UUID version, and keeps the lower-case form.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        let mut bytes: [u8; TOKEN_BYTES] =
            text.as_bytes().try_into().map_err(|_| MalformedToken)?;
        if !text.starts_with(PREFIX) {
            return Err(MalformedToken);
        }
        let mut at = PREFIX.len();
        for (index, group) in GROUPS.into_iter().enumerate() {
            let digits = &mut bytes[at..at + group];
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return Err(MalformedToken);
            }
            digits.make_ascii_lowercase();
            at += group;
            if index + 1 < GROUPS.len() {
                if bytes[at] != b'-' {
                    return Err(MalformedToken);
                }
                at += 1;
            }
        }
        Ok(Self(bytes))
    }

    /// The canonical text. Every call is a place to review: it must not reach a log.
    pub fn expose(&self) -> &str {
        // Only ASCII is ever stored, so the fallback is unreachable.
        std::str::from_utf8(&self.0).unwrap_or(PREFIX)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: &str = "lunasec-2b58d9b2-83c1-4e9b-9692-b149112810c8";

    #[test]
    fn canonical_text_is_kept() {
        assert_eq!(Token::parse(TOKEN).unwrap().expose(), TOKEN);
    }

    #[test]
    fn upper_case_digits_are_lowered() {
        let upper = format!("lunasec-{}", TOKEN["lunasec-".len()..].to_uppercase());
        assert_eq!(Token::parse(&upper).unwrap().expose(), TOKEN);
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "lunasec-",
            "LUNASEC-2b58d9b2-83c1-4e9b-9692-b149112810c8",
            "lunasec-2b58d9b2-83c1-4e9b-9692-b149112810c",
            "lunasec-2b58d9b2-83c1-4e9b-9692-b149112810c88",
            "lunasec-2b58d9b2083c1-4e9b-9692-b149112810c8",
            "lunasec-2b58d9b2-83c1-4e9b-9692-b149112810cg",
            "lunasec-2b58d9b2-83c1-4e9b-9692-b149112810c\n",
            " lunasec-2b58d9b2-83c1-4e9b-9692-b149112810c",
            "lunasec-2b58d9b2-83c1-4e9b-9692-b149112810\u{e9}",
        ] {
            assert!(Token::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_generated_token_is_a_version_4_uuid() {
        let token = Token::generate(&mut rand_core::UnwrapErr(getrandom::SysRng));
        let text = token.expose();
        assert!(Token::parse(text).is_ok());
        assert_eq!(&text[22..23], "4");
        assert!(matches!(&text[27..28], "8" | "9" | "a" | "b"));
    }

    #[test]
    fn debug_says_nothing() {
        assert_eq!(
            format!("{:?}", Token::parse(TOKEN).unwrap()),
            "Token([REDACTED])"
        );
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused_without_panic(text in ".{0,60}") {
            let _ = Token::parse(&text);
        }

        #[test]
        fn what_parses_parses_again_to_itself(uuid in any::<[u8; 16]>()) {
            let token = Token::from_uuid(uuid);
            let again = Token::parse(token.expose()).unwrap();
            prop_assert_eq!(again.expose(), token.expose());
        }
    }
}

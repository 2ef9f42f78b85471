//! The three public-key structures that are read: `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7) of
//! RSA, P-256 and Ed25519, and `RSAPublicKey` (RFC 8017 §A.1.1).
//!
//! Only the outer structure is taken apart here; whether numbers and points make a key is not
//! known in here.

use crate::Error;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// `rsaEncryption` with its NULL (RFC 3279 §2.3.1).
const RSA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
/// `id-ecPublicKey` on `secp256r1` (RFC 5480 §2.1.1).
const P256: &[u8] = &[
    6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7,
];
/// `id-Ed25519` (RFC 8410 §3).
const ED25519: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];

/// The bare numbers of a public key, not checked any further.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parts<'a> {
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa { n: &'a [u8], e: &'a [u8] },
    /// An encoded point (SEC 1 §2.3.3).
    P256(&'a [u8]),
    /// An encoded point (RFC 8032 §5.1.2).
    Ed25519(&'a [u8]),
}

/// Reads a `SubjectPublicKeyInfo`.
pub(crate) fn spki(der: &[u8]) -> Result<Parts<'_>, Error> {
    let (algorithm, bits) = spki_fields(der).ok_or(Error::Malformed)?;
    match algorithm {
        RSA => pkcs1(bits),
        P256 => Ok(Parts::P256(bits)),
        ED25519 => Ok(Parts::Ed25519(bits)),
        _ => Err(Error::Unsupported),
    }
}

/// Reads an `RSAPublicKey`.
pub(crate) fn pkcs1(der: &[u8]) -> Result<Parts<'_>, Error> {
    let (n, e) = pkcs1_fields(der).ok_or(Error::Malformed)?;
    Ok(Parts::Rsa { n, e })
}

fn spki_fields(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Der(der);
    let mut fields = Der(outer.take(SEQUENCE)?);
    outer.end()?;
    let algorithm = fields.take(SEQUENCE)?;
    let bits = fields.take(BIT_STRING)?;
    fields.end()?;
    // The first byte counts unused bits, and keys are whole bytes.
    Some((algorithm, bits.strip_prefix(&[0])?))
}

fn pkcs1_fields(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = Der(der);
    let mut fields = Der(outer.take(SEQUENCE)?);
    outer.end()?;
    let n = fields.positive()?;
    let e = fields.positive()?;
    fields.end()?;
    Some((n, e))
}

/// What is still unread. Lengths go up to 65,535, far beyond RSA with 8192 bits.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The contents of the next element, which must have this tag and the shortest length form.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&[found, first], rest) = self.0.split_first_chunk()?;
        let (bytes, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81 => {
                let (&[length], rest) = rest.split_first_chunk()?;
                (usize::from(length), rest)
            }
            0x82 => {
                let (&length, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(length)), rest)
            }
            _ => return None,
        };
        let shortest = match first {
            0x81 => bytes > 0x7f,
            0x82 => bytes > 0xff,
            _ => true,
        };
        if found != tag || !shortest {
            return None;
        }
        let (contents, rest) = rest.split_at_checked(bytes)?;
        self.0 = rest;
        Some(contents)
    }

    /// The next element, a positive INTEGER in its shortest form, without the sign's zero byte.
    fn positive(&mut self) -> Option<&'a [u8]> {
        let contents = self.take(INTEGER)?;
        match contents.split_first()? {
            (0, rest) => (*rest.first()? >= 0x80).then_some(rest),
            (1..=0x7f, _) => Some(contents),
            _ => None,
        }
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2 · 3 written as n and e: the structure is what counts here.
    const TINY: &[u8] = &[0x30, 6, 2, 1, 2, 2, 1, 3];

    #[test]
    fn the_two_numbers_of_an_rsa_key_come_out() {
        assert_eq!(pkcs1(TINY).unwrap(), Parts::Rsa { n: &[2], e: &[3] });
        let signed = [0x30, 7, 2, 2, 0, 0x80, 2, 1, 3];
        assert_eq!(
            pkcs1(&signed).unwrap(),
            Parts::Rsa {
                n: &[0x80],
                e: &[3]
            }
        );
    }

    #[test]
    fn any_other_encoding_of_the_same_numbers_is_refused() {
        let cases: [&[u8]; 10] = [
            &[0x30, 6, 2, 1, 2, 2, 1, 3, 0],
            &[0x30, 7, 2, 1, 2, 2, 1, 3, 0],
            &[0x30, 0x81, 6, 2, 1, 2, 2, 1, 3],
            &[0x30, 0x82, 0, 6, 2, 1, 2, 2, 1, 3],
            &[0x30, 0x83, 0, 0, 6, 2, 1, 2, 2, 1, 3],
            &[0x30, 0x80, 2, 1, 2, 2, 1, 3, 0, 0],
            &[0x30, 7, 2, 2, 0, 2, 2, 1, 3],
            &[0x30, 6, 2, 1, 0x82, 2, 1, 3],
            &[0x30, 5, 2, 0, 2, 1, 3],
            &[0x30, 6, 2, 1, 0, 2, 1, 3],
        ];
        for der in cases {
            assert_eq!(pkcs1(der), Err(Error::Malformed), "{der:?}");
        }
    }

    #[test]
    fn no_prefix_of_a_structure_is_one() {
        for end in 0..TINY.len() {
            assert_eq!(pkcs1(&TINY[..end]), Err(Error::Malformed));
            assert_eq!(spki(&TINY[..end]), Err(Error::Malformed));
        }
    }

    #[test]
    fn unknown_algorithms_and_odd_bits_are_told_apart() {
        let x25519 = [0x30, 10, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 3, 1, 0];
        assert_eq!(spki(&x25519), Err(Error::Unsupported));
        let odd_bits = [0x30, 11, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 2, 1, 0];
        assert_eq!(spki(&odd_bits), Err(Error::Malformed));
    }
}

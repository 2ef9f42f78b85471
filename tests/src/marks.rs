//! The search for secrets: as they are, in hexadecimal and in base64, wherever they start.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use std::collections::{BTreeSet, HashMap};

/// Shorter secrets would be found by accident.
const SECRET_BYTES_MIN: usize = 12;
/// As much of a long secret is searched for; whoever writes one writes its beginning.
const SECRET_BYTES_MAX: usize = 64;
/// Bytes that the index goes by.
const PREFIX: usize = 8;

/// Secrets that must not be found.
#[derive(Default)]
pub struct Marks {
    /// By the first bytes of each form: what it is, and the form.
    forms: HashMap<[u8; PREFIX], Vec<(String, Vec<u8>)>>,
}

impl Marks {
    /// Adds a secret; `what` names it when it is found.
    pub fn add(&mut self, what: &str, secret: &[u8]) {
        assert!(
            secret.len() >= SECRET_BYTES_MIN,
            "{what} is too short to be searched for"
        );
        let secret = &secret[..secret.len().min(SECRET_BYTES_MAX)];
        self.add_form(what, secret.to_vec());
        let hex = hex::encode(secret);
        self.add_form(&format!("{what} in hex"), hex.to_uppercase().into());
        self.add_form(&format!("{what} in hex"), hex.into());
        for shift in 0..3 {
            let at = [&vec![0; shift], secret].concat();
            // Characters that also depend on what stands before and after are left out.
            let kept = (shift * 8).div_ceil(6)..at.len() * 8 / 6;
            for text in [
                BASE64_STANDARD_NO_PAD.encode(&at),
                BASE64_URL_SAFE_NO_PAD.encode(&at),
            ] {
                self.add_form(&format!("{what} in base64"), text[kept.clone()].into());
            }
        }
    }

    fn add_form(&mut self, what: &str, form: Vec<u8>) {
        let prefix = form[..PREFIX].try_into().expect("as long as the range");
        let forms = self.forms.entry(prefix).or_default();
        if forms.iter().all(|(_, known)| *known != form) {
            forms.push((what.to_owned(), form));
        }
    }

    /// Names what is found in the bytes.
    pub fn found_in(&self, bytes: &[u8]) -> BTreeSet<&str> {
        // Most positions are told apart by two bytes, without hashing.
        let mut starts = vec![false; 1 << 16];
        for prefix in self.forms.keys() {
            starts[usize::from(u16::from_be_bytes([prefix[0], prefix[1]]))] = true;
        }
        let mut found = BTreeSet::new();
        for (at, window) in bytes.windows(PREFIX).enumerate() {
            if !starts[usize::from(u16::from_be_bytes([window[0], window[1]]))] {
                continue;
            }
            for (what, form) in self.forms.get(window).into_iter().flatten() {
                if bytes[at..].starts_with(form) {
                    found.insert(what.as_str());
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_secret_is_found_in_every_form_at_every_place() {
        let secret = b"4f1d\xff\xfe-secret-\xfb\xf0-7e2a";
        let mut marks = Marks::default();
        marks.add("it", secret);
        for before in 0..7 {
            let planted = [&vec![b'x'; before], secret.as_slice(), b"tail"].concat();
            let forms = [
                planted.clone(),
                hex::encode(&planted).into_bytes(),
                hex::encode_upper(&planted).into_bytes(),
                BASE64_STANDARD_NO_PAD.encode(&planted).into_bytes(),
                BASE64_URL_SAFE_NO_PAD.encode(&planted).into_bytes(),
            ];
            for form in forms {
                assert_eq!(marks.found_in(&form).len(), 1, "{before} {form:?}");
            }
        }
    }

    #[test]
    fn other_bytes_are_no_finding() {
        let mut marks = Marks::default();
        marks.add("it", b"a secret of some bytes");
        assert!(marks.found_in(b"a secret of some byte").is_empty());
        assert!(marks.found_in(b"").is_empty());
        assert!(marks.found_in(&vec![b'a'; 100_000]).is_empty());
    }
}

//! The master key as text: one line that a person or a secret scanner recognizes.
//!
//! ```text
//! strongroom-master-v1:<base64 of 32 bytes, RFC 4648 §4, with padding>
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_core::secret::{MasterKey, SECRET_BYTES};
use zeroize::Zeroizing;

const PREFIX: &[u8] = b"strongroom-master-v1:";
/// Base64 of 32 bytes, padded.
const BASE64_BYTES: usize = 44;

/// The line, newline at its end.
pub(crate) fn encode(key: &MasterKey) -> Zeroizing<Vec<u8>> {
    let mut base64 = Zeroizing::new([0; BASE64_BYTES]);
    let len = STANDARD
        .encode_slice(key.expose(), base64.as_mut_slice())
        .expect("32 bytes are 44 in base64");
    let mut text = Zeroizing::new(Vec::with_capacity(PREFIX.len() + len + 1));
    text.extend_from_slice(PREFIX);
    text.extend_from_slice(&base64[..len]);
    text.push(b'\n');
    text
}

/// Nothing if `text` is anything but that line; white space at its end does not matter.
pub(crate) fn decode(text: &[u8]) -> Option<MasterKey> {
    let base64 = text.trim_ascii_end().strip_prefix(PREFIX)?;
    if base64.len() != BASE64_BYTES {
        return None;
    }
    // The decoder asks for room for 33 bytes before it has seen the padding.
    let mut key = Zeroizing::new([0; SECRET_BYTES + 1]);
    let len = STANDARD.decode_slice(base64, key.as_mut_slice()).ok()?;
    MasterKey::from_slice(&key[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MasterKey {
        MasterKey::init_with(|bytes| bytes.fill(0x5a))
    }

    #[test]
    fn a_master_key_reads_back_from_its_line() {
        let line = encode(&key());
        assert!(line.starts_with(b"strongroom-master-v1:") && line.ends_with(b"=\n"));
        assert!(decode(&line).unwrap().same_as(&key()));
        assert!(decode(line.trim_ascii_end()).unwrap().same_as(&key()));
    }

    #[test]
    fn anything_else_than_the_line_is_refused() {
        let line = encode(&key());
        for len in 0..line.len() - 1 {
            assert!(decode(&line[..len]).is_none(), "{len}");
        }
        let twice = [line.as_slice(), line.as_slice()].concat();
        assert!(decode(&twice).is_none());
        assert!(decode(&[b" ", line.as_slice()].concat()).is_none());
        let mut other = line.to_vec();
        other[19] = b'2';
        assert!(decode(&other).is_none());
    }
}

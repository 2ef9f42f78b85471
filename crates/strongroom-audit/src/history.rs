//! Reading a log back: what it shows of tokens that are gone.

use crate::open::{HEADER, LINE_BYTES_MAX};
use crate::Error;
use serde::Deserialize;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use strongroom_core::TokenRef;

/// Most bytes of a batch that a power cut may have torn.
const TORN_BYTES_MAX: u64 = 64 << 20;

/// Tokens that a log shows to be gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gone {
    /// Removed by the vault, or about to be when the log ended.
    pub removed: HashSet<TokenRef>,
    /// Refused because their time was over.
    pub expired: HashSet<TokenRef>,
}

/// What of an entry says so.
#[derive(Deserialize)]
struct Line<'a> {
    at: u64,
    action: &'a str,
    token: Option<&'a str>,
    decision: &'a str,
    rule: &'a str,
}

impl Gone {
    /// Reads the log at `path` to its end. A torn last line is left out, as it is when the log is
    /// opened; any other line that is none of ours is [`Error::Malformed`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let malformed = |what| Error::Malformed {
            path: path.display().to_string(),
            what,
        };
        let mut file = BufReader::new(File::open(path)?);
        let mut header = vec![0; HEADER.len()];
        let whole = file.read_exact(&mut header).is_ok();
        if !whole || header != HEADER {
            return Err(malformed("first line"));
        }
        let mut gone = Self::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut file).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(gone);
            }
            if line.last() != Some(&b'\n') || line.contains(&0) {
                let left = std::io::copy(&mut file, &mut std::io::sink())?;
                // A power cut tears the last batch and nothing before it.
                return if left <= TORN_BYTES_MAX {
                    Ok(gone)
                } else {
                    Err(malformed("a line"))
                };
            }
            gone.note(&line).ok_or_else(|| malformed("a line"))?;
        }
    }

    fn note(&mut self, line: &[u8]) -> Option<()> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        if line.at == 0 {
            return None;
        }
        let token = line.token.and_then(TokenRef::from_hex);
        match (line.action, line.decision, line.rule) {
            ("sweep", "allow", "sweep") => self.removed.extend(token),
            (_, "deny", "expired") => self.expired.extend(token),
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn gone(text: &str) -> Result<Gone, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decisions.jsonl");
        fs::write(&path, [HEADER, text.as_bytes()].concat()).unwrap();
        Gone::read(&path)
    }

    const SWEPT: &str = "{\"at\":5,\"action\":\"sweep\",\"token\":\"01010101010101010101010101010101\",\
                         \"decision\":\"allow\",\"rule\":\"sweep\",\"row\":1}\n";

    #[test]
    fn removed_and_expired_tokens_are_told_apart_from_the_rest() {
        let more = "{\"at\":6,\"action\":\"detokenize\",\
                    \"token\":\"02020202020202020202020202020202\",\"decision\":\"deny\",\
                    \"rule\":\"expired\"}\n\
                    {\"at\":7,\"action\":\"detokenize\",\
                    \"token\":\"03030303030303030303030303030303\",\"decision\":\"deny\",\
                    \"rule\":\"grant\"}\n";
        let gone = gone(&format!("{SWEPT}{more}")).unwrap();
        assert_eq!(gone.removed, HashSet::from([TokenRef([1; 16])]));
        assert_eq!(gone.expired, HashSet::from([TokenRef([2; 16])]));
    }

    #[test]
    fn a_torn_end_is_left_out() {
        let whole = gone(SWEPT).unwrap();
        assert_eq!(gone(&format!("{SWEPT}{{\"at\":6,\"act")).unwrap(), whole);
        assert_eq!(gone(&format!("{SWEPT}\0\0\0\0")).unwrap(), whole);
    }

    #[test]
    fn another_file_is_no_log() {
        assert!(gone("nonsense\n{}\n").is_err());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, "{\"format\":\"other\"}\n").unwrap();
        assert!(Gone::read(&path).is_err());
    }
}

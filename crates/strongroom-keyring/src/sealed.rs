//! The keyring's file format, and the slot in which the master key wraps the file key.
//!
//! ```text
//! keyring = 0x01 ‖ vault id(16) ‖ version u64 ‖ slots u8 ‖ slot…
//!           ‖ gcm(file key, body, aad = all bytes before)
//! slot    = provider u8 ‖ str(file key, wrapped by that provider, bound to the vault id)
//! file provider's (1) wrapped key
//!         = 0x01 ‖ gcm(Expand(Extract("strongroom.v1.master", master key), "slot\0"), file key,
//!                      aad = "strongroom.v1.slot\0" ‖ 0x01 ‖ provider u8 ‖ vault id)
//! ```
//!
//! The format has room for several slots. This version writes one, the file provider's, and
//! refuses any other set: what it does not know it could not write back.

use crate::Error;
use rand_core::CryptoRng;
use strongroom_core::derive::slot_key;
use strongroom_core::reader::{Reader, put_str};
use strongroom_core::secret::{FileKey, MasterKey};
use strongroom_core::{VERSION, VaultId, aead};
use zeroize::Zeroizing;

const SLOT_LABEL: &[u8] = b"strongroom.v1.slot\0";
/// The master key is 32 random bytes in a file.
const PROVIDER_FILE: u8 = 1;

/// What stands before the slots, readable by everyone and authenticated with the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) vault_id: VaultId,
    pub(crate) version: u64,
}

/// A keyring taken apart, nothing authenticated yet.
struct Parsed<'a> {
    head: Head,
    /// The file key, wrapped by the file provider.
    wrapped: &'a [u8],
    /// All bytes before the body.
    aad: &'a [u8],
    body: &'a [u8],
}

pub(crate) fn seal(
    head: Head,
    body: &[u8],
    master: &MasterKey,
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, Error> {
    let file_key = FileKey::generate(rng);
    let mut out = vec![VERSION];
    out.extend_from_slice(head.vault_id.as_bytes());
    out.extend_from_slice(&head.version.to_be_bytes());
    out.push(1);
    out.push(PROVIDER_FILE);
    put_str(&mut out, &wrap(&file_key, head.vault_id, master, rng))?;
    let aad = out.clone();
    aead::seal(file_key.expose(), body, &aad, rng, &mut out);
    Ok(out)
}

pub(crate) fn open(bytes: &[u8], master: &MasterKey) -> Result<(Head, Zeroizing<Vec<u8>>), Error> {
    let parsed = parse(bytes)?;
    let file_key = unwrap(parsed.wrapped, parsed.head.vault_id, master)?;
    let body = aead::open(file_key.expose(), parsed.body, parsed.aad)?;
    Ok((parsed.head, body))
}

/// The version that a keyring claims, not authenticated.
pub(crate) fn claimed_version(bytes: &[u8]) -> Result<u64, Error> {
    parse(bytes).map(|parsed| parsed.head.version)
}

fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Error> {
    let mut reader = Reader::new(bytes);
    known_version(reader.u8()?)?;
    let head = Head {
        vault_id: VaultId(reader.array()?),
        version: reader.u64()?,
    };
    let count = reader.u8()?;
    let mut wrapped = None;
    for _ in 0..count {
        let provider = reader.u8()?;
        // Passed over, the slot would be missing from the next version of the file.
        if provider != PROVIDER_FILE {
            return Err(Error::UnknownProvider(provider));
        }
        wrapped = Some(reader.str_bytes()?);
    }
    let (Some(wrapped), 1, 1..) = (wrapped, count, head.version) else {
        return Err(Error::Malformed);
    };
    let body = reader.rest();
    Ok(Parsed {
        head,
        wrapped,
        aad: &bytes[..bytes.len() - body.len()],
        body,
    })
}

fn wrap(
    file_key: &FileKey,
    vault_id: VaultId,
    master: &MasterKey,
    rng: &mut impl CryptoRng,
) -> Vec<u8> {
    let mut out = vec![VERSION];
    aead::seal(
        &slot_key(master),
        file_key.expose(),
        &slot_aad(vault_id),
        rng,
        &mut out,
    );
    out
}

fn unwrap(wrapped: &[u8], vault_id: VaultId, master: &MasterKey) -> Result<FileKey, Error> {
    let (version, sealed) = wrapped.split_first().ok_or(Error::Malformed)?;
    known_version(*version)?;
    let key = aead::open(&slot_key(master), sealed, &slot_aad(vault_id))?;
    FileKey::from_slice(&key).ok_or(Error::Malformed)
}

fn slot_aad(vault_id: VaultId) -> Vec<u8> {
    [
        SLOT_LABEL,
        &[VERSION, PROVIDER_FILE],
        vault_id.as_bytes().as_slice(),
    ]
    .concat()
}

fn known_version(version: u8) -> Result<(), Error> {
    if version == VERSION {
        Ok(())
    } else {
        Err(Error::UnknownVersion(version))
    }
}

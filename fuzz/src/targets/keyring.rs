//! The keyring file and the master key's file.

use super::{FILL, FILLED, Input, altered, gcm, scratch};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::{fs, io::Write as _};
use strongroom_core::UnixMillis;
use strongroom_core::derive::slot_key;
use strongroom_core::secret::MasterKey;
use strongroom_keyring::file::read_master_key;
use strongroom_keyring::{Error, Keyring, Part};

/// Whatever is sealed here has the same nonce, and this file key.
const FILE_KEY: [u8; 32] = [FILL; 32];
const PARTS: [Part; 4] = [Part::Root, Part::Kek, Part::Audit, Part::Signing];
const MASTER_KEY_FILE_BYTES_MAX: usize = 256;

fn master() -> MasterKey {
    MasterKey::init_with(|bytes| bytes.fill(1))
}

/// One byte that is 0 for a file as it is; or else where a byte is altered, a vault id, a version
/// and a body, which are sealed as they must be. What opens is what sealing it again makes.
pub(super) fn keyring(data: &[u8]) -> bool {
    let mut input = Input(data);
    let sealed = input.u8();
    let at = input.u16();
    let file = match sealed {
        0 => input.0.to_vec(),
        _ => seal(input.array(), input.u64(), input.0),
    };
    let mut keyring = match Keyring::open(&file, &master(), 0) {
        Ok(keyring) => keyring,
        Err(error) => {
            assert!(sealed == 0 || matches!(error, Error::Malformed), "{error}");
            return false;
        }
    };
    let again = keyring.seal(&master(), &mut { FILLED });
    assert_eq!(again.expect("its lists fit"), file);
    let broken = altered(&file, at, sealed);
    assert!(Keyring::open(&broken, &master(), 0).is_err());
    assert!(Keyring::open(&file, &MasterKey::init_with(|bytes| bytes.fill(2)), 0).is_err());
    let newer = keyring.version().checked_add(1);
    assert!(newer.is_none_or(|newer| Keyring::open(&file, &master(), newer).is_err()));
    rotates(&mut keyring, PARTS[usize::from(at) % PARTS.len()]);
    true
}

/// A new key of one kind becomes the current one, and the others stay.
fn rotates(keyring: &mut Keyring, part: Part) {
    let (version, before) = (keyring.version(), keyring.numbers(part));
    let now = UnixMillis(7);
    let Ok(number) = keyring.rotate(part, now, &mut { FILLED }) else {
        assert_eq!(
            (keyring.version(), keyring.numbers(part)),
            (version, before)
        );
        return;
    };
    let sealed = keyring.seal(&master(), &mut { FILLED });
    let sealed = sealed.expect("its lists fit");
    let opened = Keyring::open(&sealed, &master(), version + 1).expect("what was sealed opens");
    let mut expected = before;
    expected.push((number, now));
    assert_eq!(opened.numbers(part), expected);
}

fn seal(vault_id: [u8; 16], version: u64, body: &[u8]) -> Vec<u8> {
    let mut wrapped = vec![1];
    let slot_aad = [b"strongroom.v1.slot\0\x01\x01", vault_id.as_slice()].concat();
    gcm(&slot_key(&master()), &FILE_KEY, &slot_aad, &mut wrapped);
    let length = u16::try_from(wrapped.len()).expect("a wrapped key is short");
    let mut out = vec![1];
    out.extend_from_slice(&vault_id);
    out.extend_from_slice(&version.to_be_bytes());
    out.extend_from_slice(&[1, 1]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&wrapped);
    let aad = out.clone();
    gcm(&FILE_KEY, body, &aad, &mut out);
    out
}

/// The file's text: the prefix, 32 bytes in base64, white space.
pub(super) fn master_key(data: &[u8]) -> bool {
    let dir = scratch();
    let path = dir.path().join("master.key");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&path).expect("a file can be made");
    file.write_all(data).expect("it can be written");
    let read = read_master_key(&path).ok();
    let expected = (data.len() <= MASTER_KEY_FILE_BYTES_MAX)
        .then(|| data.trim_ascii_end().strip_prefix(b"strongroom-master-v1:"))
        .flatten()
        .and_then(|base64| BASE64_STANDARD.decode(base64).ok())
        .filter(|key| key.len() == 32);
    assert_eq!(
        read.as_ref().map(|key| &key.expose()[..]),
        expected.as_deref()
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).expect("the file is ours");
    assert!(read_master_key(&path).is_err(), "others may read it");
    read.is_some()
}

//! Grants and revocations: authenticated rows, and the rule by which a grant is live.
//!
//! A grant row, keyed (record id, session ref), is *body* ‖
//! `HMAC(grant key, "strongroom.v1.grant\0" ‖ record id ‖ session ref ‖ body)` with
//! body = 0x01 ‖ row version `u64` ‖ epoch `u32` ‖ granted at ‖ expires at ‖ uses left `u32` ‖
//! `str(purpose)`.
//!
//! A revocation row, keyed session ref, is *body* ‖
//! `HMAC(grant key, "strongroom.v1.revocation\0" ‖ session ref ‖ body)` with
//! body = 0x01 ‖ revoked at ‖ keep until (0 = for ever).

use crate::derive::hmac_parts;
use crate::envelope::State;
use crate::ids::{RecordId, SessionRef};
use crate::reader::{Reader, put_str};
use crate::secret::GrantKey;
use crate::{Error, UnixMillis, VERSION};
use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;

const GRANT_LABEL: &[u8] = b"strongroom.v1.grant\0";
const REVOCATION_LABEL: &[u8] = b"strongroom.v1.revocation\0";
const TAG_BYTES: usize = 32;

/// "No limit" in *uses left* and *reads left*.
pub const UNLIMITED: u32 = u32::MAX;

/// Longest purpose in bytes.
pub const PURPOSE_BYTES_MAX: usize = 256;

/// Permission of one session to open one token for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Version of this row, raised by one with each write.
    pub version: u64,
    /// The record's grant epoch at the time of granting.
    pub epoch: u32,
    /// When it was granted.
    pub granted_at: UnixMillis,
    /// From when on it is dead; 0 for a revoked one.
    pub expires_at: UnixMillis,
    /// Releases left, or [`UNLIMITED`].
    pub uses_left: u32,
    /// Why, in the granter's words; at most [`PURPOSE_BYTES_MAX`] bytes.
    pub purpose: String,
}

impl Grant {
    /// Live means: the epoch is the record's, `now < expires at`, and uses are left.
    pub fn is_live(&self, epoch: u32, now: UnixMillis) -> bool {
        self.epoch == epoch && now < self.expires_at && self.uses_left > 0
    }

    fn encode(&self) -> Result<Vec<u8>, Error> {
        if self.purpose.len() > PURPOSE_BYTES_MAX {
            return Err(Error::Malformed);
        }
        let mut body = vec![VERSION];
        body.extend_from_slice(&self.version.to_be_bytes());
        body.extend_from_slice(&self.epoch.to_be_bytes());
        body.extend_from_slice(&self.granted_at.0.to_be_bytes());
        body.extend_from_slice(&self.expires_at.0.to_be_bytes());
        body.extend_from_slice(&self.uses_left.to_be_bytes());
        put_str(&mut body, self.purpose.as_bytes())?;
        Ok(body)
    }

    fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        reader.version()?;
        let grant = Self {
            version: reader.u64()?,
            epoch: reader.u32()?,
            granted_at: reader.millis()?,
            expires_at: reader.millis()?,
            uses_left: reader.u32()?,
            purpose: reader.str()?.to_owned(),
        };
        reader.end()?;
        if grant.purpose.len() > PURPOSE_BYTES_MAX {
            return Err(Error::Malformed);
        }
        Ok(grant)
    }
}

/// When the session's grant on the record ends, or `None` if it has no live one.
///
/// An explicit row, live or not, replaces the creator's grant that stands in the record.
pub fn live_until(
    state: &State,
    session: &SessionRef,
    explicit: Option<&Grant>,
    now: UnixMillis,
) -> Option<UnixMillis> {
    match explicit {
        Some(grant) => grant
            .is_live(state.grant_epoch, now)
            .then_some(grant.expires_at),
        None => (state.grant_epoch == 0
            && state.creator == *session
            && now < state.creator_grant_ends_at)
            .then_some(state.creator_grant_ends_at),
    }
}

/// The end of a revoked session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// When the session was revoked.
    pub revoked_at: UnixMillis,
    /// Until when the row is kept; 0 for ever.
    pub keep_until: UnixMillis,
}

impl Revocation {
    fn encode(self) -> Vec<u8> {
        let mut body = vec![VERSION];
        body.extend_from_slice(&self.revoked_at.0.to_be_bytes());
        body.extend_from_slice(&self.keep_until.0.to_be_bytes());
        body
    }

    fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        reader.version()?;
        let row = Self {
            revoked_at: reader.millis()?,
            keep_until: reader.millis()?,
        };
        reader.end()?;
        Ok(row)
    }
}

/// The grant key, ready for use.
pub struct GrantSeal(hmac::Key);

impl GrantSeal {
    /// Prepares the HMAC.
    pub fn new(key: &GrantKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
    }

    /// The row's bytes for (`record`, `session`); refuses a purpose that is too long.
    pub fn seal(
        &self,
        record: &RecordId,
        session: &SessionRef,
        grant: &Grant,
    ) -> Result<Vec<u8>, Error> {
        let body = grant.encode()?;
        Ok(self.append_tag(&[GRANT_LABEL, record.as_bytes(), session.as_bytes()], body))
    }

    /// Authenticates a row and takes it apart.
    pub fn open(
        &self,
        record: &RecordId,
        session: &SessionRef,
        row: &[u8],
    ) -> Result<Grant, Error> {
        let body = self.checked(&[GRANT_LABEL, record.as_bytes(), session.as_bytes()], row)?;
        Grant::decode(body)
    }

    /// The revocation row's bytes for `session`.
    pub fn seal_revocation(&self, session: &SessionRef, row: Revocation) -> Vec<u8> {
        self.append_tag(&[REVOCATION_LABEL, session.as_bytes()], row.encode())
    }

    /// Authenticates a revocation row and takes it apart.
    pub fn open_revocation(&self, session: &SessionRef, row: &[u8]) -> Result<Revocation, Error> {
        Revocation::decode(self.checked(&[REVOCATION_LABEL, session.as_bytes()], row)?)
    }

    fn append_tag(&self, context: &[&[u8]], mut body: Vec<u8>) -> Vec<u8> {
        let tag = self.tag(context, &body);
        body.extend_from_slice(tag.as_ref());
        body
    }

    fn checked<'a>(&self, context: &[&[u8]], row: &'a [u8]) -> Result<&'a [u8], Error> {
        let (body, tag) = row
            .len()
            .checked_sub(TAG_BYTES)
            .and_then(|at| row.split_at_checked(at))
            .ok_or(Error::Malformed)?;
        // An unknown version is named before the tag is judged, so that an operator who runs an
        // old program on a new store learns the reason.
        if body.first().is_some_and(|version| *version != VERSION) {
            return Err(Error::UnknownVersion);
        }
        let good: bool = self.tag(context, body).as_ref().ct_eq(tag).into();
        if good { Ok(body) } else { Err(Error::Sealed) }
    }

    fn tag(&self, context: &[&[u8]], body: &[u8]) -> hmac::Tag {
        let mut parts = context.to_vec();
        parts.push(body);
        hmac_parts(&self.0, &parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::State;
    use proptest::prelude::*;

    const RECORD: RecordId = RecordId([1; 32]);
    const SESSION: SessionRef = SessionRef([2; 32]);

    fn seal() -> GrantSeal {
        GrantSeal::new(&GrantKey::init_with(|key| key.fill(7)))
    }

    fn grant() -> Grant {
        Grant {
            version: 3,
            epoch: 1,
            granted_at: UnixMillis(10),
            expires_at: UnixMillis(1_000),
            uses_left: UNLIMITED,
            purpose: "support".to_owned(),
        }
    }

    fn state() -> State {
        State {
            creator: SESSION,
            creator_grant_ends_at: UnixMillis(500),
            ..State::default()
        }
    }

    #[test]
    fn a_sealed_grant_opens_to_itself() {
        let row = seal().seal(&RECORD, &SESSION, &grant()).unwrap();
        assert_eq!(seal().open(&RECORD, &SESSION, &row).unwrap(), grant());
    }

    #[test]
    fn a_grant_moved_to_another_record_or_session_is_refused() {
        let row = seal().seal(&RECORD, &SESSION, &grant()).unwrap();
        assert!(seal().open(&RecordId([9; 32]), &SESSION, &row).is_err());
        assert!(seal().open(&RECORD, &SessionRef([9; 32]), &row).is_err());
    }

    #[test]
    fn any_changed_bit_of_a_grant_is_refused() {
        let row = seal().seal(&RECORD, &SESSION, &grant()).unwrap();
        for bit in 0..row.len() * 8 {
            let mut altered = row.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(
                seal().open(&RECORD, &SESSION, &altered).is_err(),
                "bit {bit}"
            );
        }
        for len in 0..row.len() {
            assert!(seal().open(&RECORD, &SESSION, &row[..len]).is_err());
        }
    }

    #[test]
    fn a_purpose_too_long_to_be_sealed_is_not_opened() {
        let mut body = grant().encode().unwrap();
        body.truncate(body.len() - 2 - grant().purpose.len());
        put_str(&mut body, &[b'a'; PURPOSE_BYTES_MAX + 1]).unwrap();
        let row = seal().append_tag(&[GRANT_LABEL, RECORD.as_bytes(), SESSION.as_bytes()], body);
        let refused = seal().open(&RECORD, &SESSION, &row);
        assert_eq!(refused.unwrap_err(), Error::Malformed);
    }

    #[test]
    fn a_revocation_is_bound_to_its_session() {
        let sealed = Revocation {
            revoked_at: UnixMillis(5),
            keep_until: UnixMillis(0),
        };
        let row = seal().seal_revocation(&SESSION, sealed);
        assert_eq!(seal().open_revocation(&SESSION, &row).unwrap(), sealed);
        assert!(seal().open_revocation(&SessionRef([9; 32]), &row).is_err());
    }

    #[test]
    fn expired_grant_is_refused() {
        assert!(grant().is_live(1, UnixMillis(999)));
        assert!(!grant().is_live(1, UnixMillis(1_000)));
    }

    #[test]
    fn grant_of_another_epoch_is_refused() {
        assert!(!grant().is_live(2, UnixMillis(10)));
    }

    #[test]
    fn used_up_grant_is_refused() {
        assert!(
            !Grant {
                uses_left: 0,
                ..grant()
            }
            .is_live(1, UnixMillis(10))
        );
    }

    #[test]
    fn the_creator_reads_until_its_grant_ends() {
        assert_eq!(
            live_until(&state(), &SESSION, None, UnixMillis(499)),
            Some(UnixMillis(500))
        );
        assert_eq!(live_until(&state(), &SESSION, None, UnixMillis(500)), None);
        assert_eq!(
            live_until(&state(), &SessionRef([9; 32]), None, UnixMillis(1)),
            None
        );
    }

    #[test]
    fn an_explicit_row_replaces_the_creators_grant_live_or_not() {
        let dead = Grant {
            epoch: 0,
            expires_at: UnixMillis(0),
            ..grant()
        };
        assert_eq!(
            live_until(&state(), &SESSION, Some(&dead), UnixMillis(1)),
            None
        );
        let longer = Grant {
            epoch: 0,
            ..grant()
        };
        let until = live_until(&state(), &SESSION, Some(&longer), UnixMillis(1));
        assert_eq!(until, Some(UnixMillis(1_000)));
    }

    #[test]
    fn raising_the_epoch_kills_the_creators_grant() {
        let raised = State {
            grant_epoch: 1,
            ..state()
        };
        assert_eq!(live_until(&raised, &SESSION, None, UnixMillis(1)), None);
    }

    proptest! {
        #[test]
        fn any_row_opens_or_is_refused_without_panic(row in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(seal().open(&RECORD, &SESSION, &row).is_err());
            prop_assert!(seal().open_revocation(&SESSION, &row).is_err());
            let _ = Grant::decode(&row);
        }
    }
}

//! The gate: the only way to a key.
//!
//! It reads record, grant and revocation in one snapshot, decides, appends the decision to the
//! audit log, waits until it is durable, and only then makes a [`Pass`]. Denials take the same
//! way, so that an unknown token costs what a refused one costs.
//!
//! A `Pass` cannot be made anywhere else:
//!
//! ```compile_fail,E0451
//! fn forge<'a>(gate: &'a strongroom::gate::Gate) -> strongroom::gate::Pass<'a> {
//!     strongroom::gate::Pass { gate }
//! }
//! ```
//!
//! and without one there is no data key:
//!
//! ```compile_fail,E0599
//! fn open(gate: &strongroom::gate::Gate, token: &strongroom_core::Token) {
//!     let _ = gate.data_key(token);
//! }
//! ```
//!
//! With one there is:
//!
//! ```
//! fn open(pass: &strongroom::gate::Pass<'_>) {
//!     let _ = pass.data_key();
//! }
//! ```

mod action;
mod pass;

pub use action::Action;
pub use pass::Pass;

use crate::{Error, Request};
use std::hint::black_box;
use std::sync::Arc;
use strongroom_audit::{Decision, Entry, Log, Rule};
use strongroom_core::derive::KekKey;
use strongroom_core::envelope::{self, Birth, Inner, Mode, Record, State};
use strongroom_core::grant::{self, Grant, GrantSeal};
use strongroom_core::secret::DataKey;
use strongroom_core::time::Clock;
use strongroom_core::{ObjectId, RecordId, Session, SessionRef, Token, TokenRef, UnixMillis};
use strongroom_keyring::Keyring;
use strongroom_records::{Admission, Insert, RecordStore, RevocationRow, Row};
use strongroom_wire::Metadata;
use zeroize::Zeroizing;

/// The operating system's random source.
pub(crate) fn system_rng() -> rand_core::UnwrapErr<getrandom::SysRng> {
    rand_core::UnwrapErr(getrandom::SysRng)
}

const SEALED: strongroom_core::Error = strongroom_core::Error::Sealed;
const MALFORMED: strongroom_core::Error = strongroom_core::Error::Malformed;

/// By how much a restore raises row versions: more changes than a record sees between a backup
/// and its restore, so that no version names two contents of a row.
const RESTORED_VERSIONS: u64 = 1 << 20;

/// Holds the keyring and lets nobody else near it.
pub struct Gate {
    keyring: Keyring,
    grants: GrantSeal,
    records: Arc<dyn RecordStore>,
    audit: Arc<Log>,
    clock: Arc<dyn Clock>,
    decoy: Decoy,
}

/// What a new token starts with.
pub(crate) struct NewRecord {
    pub(crate) birth: Birth,
    pub(crate) state: State,
    pub(crate) due: UnixMillis,
}

/// A record of no token, opened when there is none, so that a miss takes the steps of a hit.
struct Decoy {
    id: RecordId,
    row: Row,
}

/// A decision on its way to the log.
enum Verdict {
    Allow(Box<Allowed>),
    Deny {
        rule: Rule,
        error: Error,
        row: Option<u64>,
    },
}

/// What an allowed request may use, all of the snapshot that it was decided on.
struct Allowed {
    row: Arc<Row>,
    record: Record,
    grant_ends_at: Option<UnixMillis>,
    /// Opened for [`Action::MetadataGet`] alone.
    metadata: Option<Zeroizing<Vec<u8>>>,
}

/// What the store holds for one session and one record, authenticated and of one instant.
pub(crate) struct Held {
    /// The session was revoked.
    pub(crate) revoked: bool,
    /// The session's explicit grant.
    pub(crate) grant: Option<Grant>,
}

impl Gate {
    pub(crate) fn new(
        keyring: Keyring,
        records: Arc<dyn RecordStore>,
        audit: Arc<Log>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let grants = GrantSeal::new(&keyring.index().grant_key());
        let decoy = Decoy::new(&keyring)?;
        Ok(Self {
            keyring,
            grants,
            records,
            audit,
            clock,
            decoy,
        })
    }

    pub(crate) fn keyring_version(&self) -> u64 {
        self.keyring.version()
    }

    pub(crate) fn vault_id(&self) -> strongroom_core::VaultId {
        self.keyring.vault_id()
    }

    pub(crate) fn audit_health(&self) -> Result<(), Error> {
        Ok(self.audit.health()?)
    }

    pub(crate) fn session_ref(&self, session: &Session) -> SessionRef {
        self.keyring.index().session_ref(session)
    }

    /// Decides whether `request` may do its action with `token`.
    pub(crate) async fn admit<'a>(
        &'a self,
        request: &'a Request,
        token: &'a Token,
    ) -> Result<Pass<'a>, Error> {
        self.admit_for(request, token, None).await
    }

    /// The same for an action that speaks of another session, which the entry then names.
    pub(crate) async fn admit_for<'a>(
        &'a self,
        request: &'a Request,
        token: &'a Token,
        target: Option<SessionRef>,
    ) -> Result<Pass<'a>, Error> {
        let now = self.clock.now();
        let id = self.keyring.index().record_id(token);
        let token_ref = self.keyring.current_token_ref_key().token_ref(&id);
        let entry = Entry {
            token: Some(token_ref),
            target,
            ..entry(request, now)
        };
        self.check_clock(&entry, request.action).await?;
        let read = self.records.admit(id, request.session).await?;
        let verdict = self.judge(request, token, &id, &read, now);
        let (rule, decision, row) = match &verdict {
            Verdict::Allow(allowed) => (
                request.action.allow_rule(request.subject()),
                Decision::Allow,
                Some(allowed.row.version),
            ),
            Verdict::Deny { rule, row, .. } => (*rule, Decision::Deny, *row),
        };
        let entry = Entry {
            decision,
            rule,
            row,
            ..entry
        };
        let grants = request.action.grants_itself() && decision == Decision::Allow;
        let granted = grants.then(|| self.audit.append(&grant_to_itself(&entry, request)));
        let granted = granted.transpose()?;
        let decided = self.audit.append(&entry)?;
        if let Some(granted) = granted {
            granted.durable().await?;
        }
        decided.durable().await?;
        match verdict {
            Verdict::Deny { error, .. } => Err(error),
            Verdict::Allow(allowed) => Ok(Pass::new(self, token, id, entry, allowed)),
        }
    }

    /// Decides on a new token and stores its record; entry and record are synced together.
    pub(crate) async fn admit_new(
        &self,
        request: &Request,
        token: &Token,
        key: &DataKey,
        new: NewRecord,
        metadata: Option<&Metadata>,
        now: UnixMillis,
    ) -> Result<(), Error> {
        let id = self.keyring.index().record_id(token);
        let token_ref = self.keyring.current_token_ref_key().token_ref(&id);
        let allowed = Entry {
            token: Some(token_ref),
            row: Some(1),
            ..entry(request, now)
        };
        self.check_clock(&allowed, request.action).await?;
        match self.is_revoked(request.session).await {
            Ok(false) => {}
            Ok(true) => return self.deny(allowed, Rule::Revoked, Error::Revoked).await,
            Err(error @ Error::Refused(_)) => {
                return self.deny(allowed, Rule::Forged, error).await;
            }
            Err(error) => return Err(error),
        }
        let row = self.seal_new(token, &id, key, new, metadata)?;
        let receipt = self.audit.append(&allowed)?;
        let (written, inserted) = tokio::join!(receipt.durable(), self.records.insert(id, row));
        written?;
        let error = match inserted {
            Ok(Insert::Inserted) => return Ok(()),
            // A random 122-bit name that exists is a broken random source, not bad luck.
            Ok(Insert::Exists) => Error::Refused(MALFORMED),
            Err(error) => error.into(),
        };
        Err(self.outcome_failed(&allowed, error))
    }

    /// Audits and returns the refusal of a subject that may not use the route.
    pub(crate) async fn refuse_subject<T>(&self, request: &Request) -> Result<T, Error> {
        let denied = entry(request, self.clock.now());
        self.deny(denied, Rule::Subject, Error::NotAllowed).await
    }

    /// What stands for the session beside the record; `None` if the record is gone.
    pub(crate) async fn held(
        &self,
        id: &RecordId,
        session: SessionRef,
        now: UnixMillis,
    ) -> Result<Option<Held>, Error> {
        let read = self.records.admit(*id, session).await?;
        if read.record.is_none() {
            return Ok(None);
        }
        let revoked = self.judge_revocation(&session, read.revocation.as_ref(), now);
        Ok(Some(Held {
            revoked: revoked.map_err(Error::Refused)?,
            grant: self
                .open_grant(id, &session, &read)
                .map_err(Error::Refused)?,
        }))
    }

    pub(crate) fn seal_grant(
        &self,
        id: &RecordId,
        session: SessionRef,
        grant: &Grant,
    ) -> Result<Vec<u8>, Error> {
        self.grants
            .seal(id, &session, grant)
            .map_err(Error::Refused)
    }

    /// Whether the session was revoked.
    pub(crate) async fn is_revoked(&self, session: SessionRef) -> Result<bool, Error> {
        let row = self.records.revocation(session).await?;
        self.judge_revocation(&session, row.as_ref(), self.clock.now())
            .map_err(Error::Refused)
    }

    /// Opens a row for the sweeper, which has no token and gets no key.
    pub(crate) fn open_row(&self, id: &RecordId, row: &Row) -> Result<Record, Error> {
        self.open_outer(id, row).map_err(Error::Refused)
    }

    /// The row of the same record with another state, one version on.
    pub(crate) fn next_row(
        &self,
        id: &RecordId,
        row: &Row,
        record: &Record,
        due: UnixMillis,
    ) -> Result<Row, Error> {
        self.later_row(id, row, 1, record, due)
    }

    /// The row of a restored record: every grant on it is dead, and its version is beyond those
    /// that the record may have had after the backup.
    pub(crate) fn restored_row(
        &self,
        id: &RecordId,
        row: &Row,
        mut record: Record,
    ) -> Result<Row, Error> {
        let epoch = record.state.grant_epoch.checked_add(1);
        record.state.grant_epoch = epoch.ok_or(Error::Refused(MALFORMED))?;
        self.later_row(id, row, RESTORED_VERSIONS, &record, row.due)
    }

    fn later_row(
        &self,
        id: &RecordId,
        row: &Row,
        versions: u64,
        record: &Record,
        due: UnixMillis,
    ) -> Result<Row, Error> {
        let kek = self.keyring.current_kek();
        let version = row
            .version
            .checked_add(versions)
            .ok_or(Error::Refused(MALFORMED))?;
        let outer = record
            .seal(kek, id, version, &mut system_rng())
            .map_err(Error::Refused)?;
        let root = record.inner.generation().map_err(Error::Refused)?;
        Ok(Row {
            version,
            kek: kek.number(),
            root,
            due,
            outer,
            meta: row.meta.clone(),
        })
    }

    /// What entries may call the record's token: its reference under every audit key.
    pub(crate) fn token_refs(&self, id: &RecordId) -> impl Iterator<Item = TokenRef> {
        let keys = self.keyring.token_ref_keys();
        keys.map(|(_, key)| key.token_ref(id))
    }

    /// Appends an entry of the vault's own act, waits until it is durable, and returns it.
    pub(crate) async fn record_sweep(&self, id: &RecordId, row: u64) -> Result<Entry, Error> {
        let entry = Entry {
            at: self.clock.now(),
            request: None,
            subject: None,
            session: None,
            action: "sweep",
            token: Some(self.keyring.current_token_ref_key().token_ref(id)),
            target: None,
            decision: Decision::Allow,
            rule: Rule::Sweep,
            row: Some(row),
        };
        self.audit.append(&entry)?.durable().await?;
        Ok(entry)
    }

    fn seal_new(
        &self,
        token: &Token,
        id: &RecordId,
        key: &DataKey,
        new: NewRecord,
        metadata: Option<&Metadata>,
    ) -> Result<Row, Error> {
        let rng = &mut system_rng();
        let (kek, root) = (self.keyring.current_kek(), self.keyring.current_root());
        let NewRecord {
            birth,
            mut state,
            due,
        } = new;
        let inner = Inner::wrap(root, token, id, &birth, key, rng).map_err(Error::Refused)?;
        let meta = metadata.map(|metadata| {
            state.metadata_version = 1;
            let json = metadata.json().as_bytes();
            envelope::seal_metadata(root, token, id, &birth.metadata_salt, 1, json, rng)
        });
        let record = Record {
            birth,
            state,
            inner,
        };
        let outer = record.seal(kek, id, 1, rng).map_err(Error::Refused)?;
        Ok(Row {
            version: 1,
            kek: kek.number(),
            root: root.generation(),
            due,
            outer,
            meta,
        })
    }

    fn judge(
        &self,
        request: &Request,
        token: &Token,
        id: &RecordId,
        read: &Admission,
        now: UnixMillis,
    ) -> Verdict {
        let version = read.record.as_ref().map(|row| row.version);
        let deny = |rule, error| Verdict::Deny {
            rule,
            error,
            row: version,
        };
        let forged = |error| deny(Rule::Forged, Error::Refused(error));
        match self.judge_revocation(&request.session, read.revocation.as_ref(), now) {
            Err(error) => return forged(error),
            Ok(true) => return deny(Rule::Revoked, Error::Revoked),
            Ok(false) => {}
        }
        let Some(row) = &read.record else {
            self.judge_decoy(&request.session, now);
            return deny(Rule::Unknown, Error::NoSuchToken);
        };
        let (record, explicit) = match self
            .open_outer(id, row)
            .and_then(|record| Ok((record, self.open_grant(id, &request.session, read)?)))
        {
            Ok(opened) => opened,
            Err(error) => return forged(error),
        };
        let grant_ends_at =
            grant::live_until(&record.state, &request.session, explicit.as_ref(), now);
        if record.birth.is_expired(now) {
            return deny(Rule::Expired, Error::NoSuchToken);
        }
        if request.action.needs_grant(request.subject()) && grant_ends_at.is_none() {
            return deny(Rule::Grant, Error::NoSuchToken);
        }
        let metadata = match request.action {
            Action::MetadataGet => match self.open_metadata(token, id, row, &record) {
                Ok(Some(json)) => Some(json),
                Ok(None) => return deny(Rule::NoMetadata, Error::NoSuchToken),
                Err(error) => return forged(error),
            },
            _ => None,
        };
        Verdict::Allow(Box::new(Allowed {
            row: Arc::clone(row),
            record,
            // A grant that the caller makes itself for this release counts instead of its others.
            grant_ends_at: grant_ends_at.filter(|_| !request.action.grants_itself()),
            metadata,
        }))
    }

    /// The steps of [`Gate::judge`] on a record of no token; the result is thrown away.
    fn judge_decoy(&self, session: &SessionRef, now: UnixMillis) {
        if let Ok(record) = self.open_outer(&self.decoy.id, &self.decoy.row) {
            black_box(grant::live_until(&record.state, session, None, now));
        }
    }

    fn judge_revocation(
        &self,
        session: &SessionRef,
        row: Option<&RevocationRow>,
        now: UnixMillis,
    ) -> Result<bool, strongroom_core::Error> {
        let Some(row) = row else { return Ok(false) };
        let revocation = self.grants.open_revocation(session, &row.bytes)?;
        Ok(revocation.keep_until == UnixMillis::NEVER || now < revocation.keep_until)
    }

    fn open_outer(&self, id: &RecordId, row: &Row) -> Result<Record, strongroom_core::Error> {
        let number = envelope::kek_of(&row.outer)?;
        let kek: &KekKey = self
            .keyring
            .kek(number)
            .ok_or(strongroom_core::Error::UnknownKey)?;
        let record = Record::open(kek, id, row.version, &row.outer)?;
        // A row whose metadata was hidden or planted is as forged as one whose bits were turned.
        if (record.state.metadata_version > 0) != row.meta.is_some() {
            return Err(SEALED);
        }
        Ok(record)
    }

    /// The metadata as JSON text; `None` if none was set or an empty object.
    fn open_metadata(
        &self,
        token: &Token,
        id: &RecordId,
        row: &Row,
        record: &Record,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, strongroom_core::Error> {
        let Some(meta) = &row.meta else {
            return Ok(None);
        };
        let generation = envelope::generation_of(meta)?;
        let root = self.keyring.root(generation);
        let root = root.ok_or(strongroom_core::Error::UnknownKey)?;
        let (salt, version) = (&record.birth.metadata_salt, record.state.metadata_version);
        let json = envelope::open_metadata(root, token, id, salt, version, meta)?;
        Ok((json.as_slice() != b"{}").then_some(json))
    }

    fn open_grant(
        &self,
        id: &RecordId,
        session: &SessionRef,
        read: &Admission,
    ) -> Result<Option<Grant>, strongroom_core::Error> {
        let Some(row) = &read.grant else {
            return Ok(None);
        };
        let grant = self.grants.open(id, session, &row.bytes)?;
        // The column is what compare-and-set judges by, so it must be the sealed one.
        if grant.version == row.version {
            Ok(Some(grant))
        } else {
            Err(SEALED)
        }
    }

    async fn check_clock(&self, entry: &Entry, action: Action) -> Result<(), Error> {
        let behind_ms = self.clock.behind_ms();
        if action.releases() && behind_ms > crate::clock::BEHIND_MS_MAX {
            return self
                .deny(*entry, Rule::Clock, Error::ClockBehind { behind_ms })
                .await;
        }
        Ok(())
    }

    async fn deny<T>(&self, entry: Entry, rule: Rule, error: Error) -> Result<T, Error> {
        let entry = Entry {
            decision: Decision::Deny,
            rule,
            row: None,
            ..entry
        };
        self.audit.append(&entry)?.durable().await?;
        Err(error)
    }

    /// Notes that an allowed act failed, and passes the error on. Nothing waits for the entry:
    /// the act did not happen.
    pub(crate) fn outcome_failed(&self, entry: &Entry, error: Error) -> Error {
        let rule = match error {
            Error::Refused(_) => Rule::Forged,
            _ => Rule::Store,
        };
        let failed = Entry {
            decision: Decision::Failed,
            rule,
            ..*entry
        };
        if let Err(error) = self.audit.append(&failed) {
            tracing::warn!(%error, "the outcome of a failed act could not be noted");
        }
        error
    }
}

/// The entry of the grant that a release makes to its own caller. No row stands for it: the grant
/// begins and is used up within the request.
fn grant_to_itself(release: &Entry, request: &Request) -> Entry {
    Entry {
        action: Action::GrantSet.as_str(),
        target: Some(request.session),
        rule: Action::GrantSet.allow_rule(request.subject()),
        ..*release
    }
}

fn entry(request: &Request, at: UnixMillis) -> Entry {
    Entry {
        at,
        request: Some(request.id),
        subject: Some(request.subject()),
        session: Some(request.session),
        action: request.action.as_str(),
        token: None,
        target: None,
        decision: Decision::Allow,
        rule: request.action.allow_rule(request.subject()),
        row: None,
    }
}

impl Decoy {
    fn new(keyring: &Keyring) -> Result<Self, Error> {
        let rng = &mut system_rng();
        let token = Token::generate(rng);
        let id = keyring.index().record_id(&token);
        let birth = Birth {
            mode: Mode::SseC,
            kind: String::new(),
            created_at: UnixMillis(0),
            expires_at: UnixMillis::NEVER,
            size_limit: 0,
            part_size: 0,
            object_id: ObjectId([0; 32]),
            metadata_salt: [0; 32],
        };
        let key = DataKey::generate(rng);
        let (root, kek) = (keyring.current_root(), keyring.current_kek());
        let inner = Inner::wrap(root, &token, &id, &birth, &key, rng).map_err(Error::Refused)?;
        let record = Record {
            birth,
            state: State::default(),
            inner,
        };
        let outer = record.seal(kek, &id, 1, rng).map_err(Error::Refused)?;
        let (kek, root) = (kek.number(), root.generation());
        let row = Row {
            version: 1,
            kek,
            root,
            due: UnixMillis::NEVER,
            outer,
            meta: None,
        };
        Ok(Self { id, row })
    }
}

//! Tokenize: make token, data key and record; hand out one upload.

use crate::gate::NewRecord;
use crate::{Error, Request, Vault};
use strongroom_core::envelope::{Birth, Mode, State};
use strongroom_core::secret::DataKey;
use strongroom_core::{ObjectId, Token, UnixMillis};
use strongroom_objects::Presigned;
use strongroom_wire::Metadata;

/// A new token and where its value goes.
pub struct Upload {
    /// The token, to be shown to the caller once.
    pub token: Token,
    /// URL and headers of the one upload.
    pub presigned: Presigned,
}

const HOUR_MS: u64 = 60 * 60 * 1_000;

/// `at` rounded up to the hour: what a plain column may tell about a record's time.
pub(crate) fn round_up_to_hour(at: UnixMillis) -> UnixMillis {
    UnixMillis(at.0.div_ceil(HOUR_MS).saturating_mul(HOUR_MS))
}

impl Vault {
    /// Makes a token. On return record, creator's grant and audit entry are durable.
    pub async fn tokenize(
        &self,
        request: &Request,
        metadata: Option<&Metadata>,
        content_length: Option<u64>,
    ) -> Result<Upload, Error> {
        self.check_sizes(metadata, content_length)?;
        let now = self.clock.now();
        let mut rng = crate::gate::system_rng();
        let token = Token::generate(&mut rng);
        let key = DataKey::generate(&mut rng);
        let new = self.new_record(request, now, &mut rng);
        let object = new.birth.object_id;
        self.gate
            .admit_new(request, &token, &key, new, metadata, now)
            .await?;
        let presigned =
            self.objects
                .presign_put(&object, &key, now, self.rules.upload_life_s, content_length);
        Ok(Upload { token, presigned })
    }

    /// When the upload of a token made at `created_at` must have arrived.
    pub(crate) fn claim_at(&self, created_at: UnixMillis) -> UnixMillis {
        created_at
            .plus(u64::from(self.rules.upload_life_s) * 1_000)
            .plus(self.rules.claim_grace_ms)
    }

    fn check_sizes(
        &self,
        metadata: Option<&Metadata>,
        content_length: Option<u64>,
    ) -> Result<(), Error> {
        let too_large = |what, limit| Err(Error::TooLarge { what, limit });
        if metadata.is_some_and(|json| json.json().len() > self.rules.metadata_bytes_max) {
            return too_large("metadata", self.rules.metadata_bytes_max as u64);
        }
        if content_length.is_some_and(|len| len > self.rules.object_bytes_max) {
            return too_large("the value", self.rules.object_bytes_max);
        }
        Ok(())
    }

    fn new_record(
        &self,
        request: &Request,
        now: UnixMillis,
        rng: &mut impl rand_core::CryptoRng,
    ) -> NewRecord {
        let mut object_id = [0; 32];
        rng.fill_bytes(&mut object_id);
        let mut metadata_salt = [0; 32];
        rng.fill_bytes(&mut metadata_salt);
        let expires_at = match self.rules.token_life_ms {
            0 => UnixMillis::NEVER,
            life => now.plus(life),
        };
        NewRecord {
            birth: Birth {
                mode: Mode::SseC,
                kind: String::new(),
                created_at: now,
                expires_at,
                size_limit: self.rules.object_bytes_max,
                part_size: 0,
                object_id: ObjectId(object_id),
                metadata_salt,
            },
            state: State {
                creator: request.session,
                creator_grant_ends_at: now.plus(self.rules.grant_default_ms),
                ..State::default()
            },
            due: round_up_to_hour(self.claim_at(now)),
        }
    }
}

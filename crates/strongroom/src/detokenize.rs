//! Detokenize: the one door through which a key leaves.

use crate::gate::Pass;
use crate::vault::DOWNLOAD_LIFE_MIN_S;
use crate::{Error, Request, Vault};
use strongroom_core::{Token, UnixMillis};
use strongroom_objects::Presigned;

impl Vault {
    /// Releases a short-lived download URL and the key that opens it.
    pub async fn detokenize(&self, request: &Request, token: &Token) -> Result<Presigned, Error> {
        let pass = self.gate.admit(request, token).await?;
        let key = pass.data_key().map_err(|error| pass.failed(error))?;
        let life_s = self.download_life_s(&pass);
        Ok(self
            .objects
            .presign_get(&pass.object_id(), &key, pass.now(), life_s))
    }

    /// min(configured, rest of the grant, rest of the token), and at least 5 s.
    fn download_life_s(&self, pass: &Pass<'_>) -> u32 {
        let rest_s = |end: UnixMillis| u32::try_from(end.since(pass.now()) / 1_000);
        let mut life_s = self.rules.download_life_s;
        for end in [pass.grant_ends_at(), pass.token_ends_at()]
            .into_iter()
            .flatten()
        {
            life_s = life_s.min(rest_s(end).unwrap_or(u32::MAX));
        }
        life_s.max(DOWNLOAD_LIFE_MIN_S)
    }
}

//! Metadata: a small JSON object beside the value, sealed like it.

use crate::grants::TRIES;
use crate::{Error, Request, Vault};
use strongroom_core::Token;
use strongroom_records::Swap;
use strongroom_wire::Metadata;

impl Vault {
    /// The token's metadata. None and an empty object are [`Error::NoSuchToken`].
    pub async fn get_metadata(&self, request: &Request, token: &Token) -> Result<Metadata, Error> {
        let pass = self.gate.admit(request, token).await?;
        let text = std::str::from_utf8(pass.metadata().unwrap_or_default()).ok();
        text.and_then(|text| Metadata::parse(text).ok())
            .ok_or_else(|| pass.failed(Error::Refused(strongroom_core::Error::Malformed)))
    }

    /// Replaces the token's metadata; `None` leaves none.
    pub async fn set_metadata(
        &self,
        request: &Request,
        token: &Token,
        metadata: Option<&Metadata>,
    ) -> Result<(), Error> {
        if metadata.is_some_and(|json| json.json().len() > self.rules.metadata_bytes_max) {
            let limit = self.rules.metadata_bytes_max as u64;
            return Err(Error::TooLarge {
                what: "metadata",
                limit,
            });
        }
        let json = metadata.map_or("{}", Metadata::json);
        let mut lost = Error::Contended;
        for _ in 0..TRIES {
            let pass = self.gate.admit(request, token).await?;
            let (expected, row) = pass
                .with_metadata(json.as_bytes())
                .map_err(|error| pass.failed(error))?;
            match self.records.replace(*pass.record_id(), expected, row).await {
                Ok(Swap::Swapped) => return Ok(()),
                // Decided anew on what the other writer left.
                Ok(Swap::Lost) => lost = pass.failed(Error::Contended),
                Err(error) => return Err(pass.failed(error)),
            }
        }
        Err(lost)
    }
}

//! One function per route: body to types, one operation, types to answer.

use crate::answer::{Refusal, Success};
use crate::router::Api;
use strongroom::{GrantTarget, Presigned, Request};
use strongroom_core::Token;
use strongroom_wire::answer::{Done, SignedHeaders};
use strongroom_wire::{
    BadBody, DetokenizeRequest, Download, ErrorName, GrantSetRequest, GrantValidity,
    GrantVerifyRequest, MetadataAnswer, MetadataGetRequest, MetadataSetRequest, SecretText,
    TokenizeRequest, Upload, duration,
};

impl From<BadBody> for Refusal {
    fn from(error: BadBody) -> Self {
        Self::new(ErrorName::InvalidRequest, error.to_string())
    }
}

fn token(text: &SecretText) -> Result<Token, Refusal> {
    Token::parse(text.expose())
        .map_err(|error| Refusal::new(ErrorName::InvalidRequest, format!("`tokenId`: {error}")))
}

fn signed_headers(presigned: &Presigned) -> SignedHeaders {
    presigned
        .headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
        .collect()
}

pub(crate) async fn tokenize(
    api: &Api,
    request: &Request,
    body: &[u8],
) -> Result<Success, Refusal> {
    let asked = TokenizeRequest::parse(body)?;
    let metadata = asked
        .metadata
        .as_ref()
        .filter(|metadata| !metadata.is_empty());
    let upload = api
        .vault()
        .tokenize(request, metadata, asked.content_length)
        .await?;
    Success::data(&Upload {
        token_id: upload.token.expose().into(),
        headers: signed_headers(&upload.presigned),
        upload_url: upload.presigned.url.as_str().into(),
    })
}

pub(crate) async fn detokenize(
    api: &Api,
    request: &Request,
    body: &[u8],
) -> Result<Success, Refusal> {
    let token = token(&DetokenizeRequest::parse(body)?.token_id)?;
    let presigned = api.vault().detokenize(request, &token).await?;
    Success::data(&Download {
        headers: signed_headers(&presigned),
        download_url: presigned.url.as_str().into(),
    })
}

pub(crate) async fn grant_set(
    api: &Api,
    request: &Request,
    body: &[u8],
) -> Result<Success, Refusal> {
    let asked = GrantSetRequest::parse(body)?;
    let token = token(&asked.token_id)?;
    let duration_ms = asked
        .custom_duration
        .as_deref()
        .map(duration::parse_millis)
        .transpose()
        .map_err(|error| Refusal::new(ErrorName::InvalidDuration, error.to_string()))?;
    let target = target(asked.session_id.as_ref());
    api.vault()
        .set_grant(request, &token, &target, duration_ms)
        .await?;
    Success::data(&Done {})
}

pub(crate) async fn grant_verify(
    api: &Api,
    request: &Request,
    body: &[u8],
) -> Result<Success, Refusal> {
    let asked = GrantVerifyRequest::parse(body)?;
    let token = token(&asked.token_id)?;
    let target = target(asked.session_id.as_ref());
    let valid = api.vault().verify_grant(request, &token, &target).await?;
    Success::data(&GrantValidity { valid })
}

/// The body has `sessionId` or `"self": true`, never both: its parser sees to it.
fn target(session_id: Option<&SecretText>) -> GrantTarget<'_> {
    session_id.map_or(GrantTarget::Own, |id| GrantTarget::User(id.expose()))
}

pub(crate) async fn metadata_get(
    api: &Api,
    request: &Request,
    body: &[u8],
) -> Result<Success, Refusal> {
    let token = token(&MetadataGetRequest::parse(body)?.token_id)?;
    let metadata = api.vault().get_metadata(request, &token).await?;
    Success::data(&MetadataAnswer { metadata })
}

pub(crate) async fn metadata_set(
    api: &Api,
    request: &Request,
    body: &[u8],
) -> Result<Success, Refusal> {
    let asked = MetadataSetRequest::parse(body)?;
    let token = token(&asked.token_id)?;
    let metadata = asked
        .metadata
        .as_ref()
        .filter(|metadata| !metadata.is_empty());
    api.vault().set_metadata(request, &token, metadata).await?;
    Success::data(&Done {})
}

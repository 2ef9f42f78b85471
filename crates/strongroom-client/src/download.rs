//! A value on its way out of the vault: raw bytes, never converted.

use crate::transport::{self, Repeat, Transport, host_text, store_error, transport_error};
use crate::{Error, limits};
use bytes::Bytes;
use reqwest::{Response, Url};
use std::fmt;

/// The bytes of a value as the object store sends them. A download that was cut ends in an
/// error, never in an early end.
pub struct Download {
    url: Url,
    answer: Response,
}

impl Download {
    pub(crate) async fn open(
        transport: &Transport,
        access: &strongroom_wire::Download,
    ) -> Result<Self, Error> {
        let url: Url = access
            .download_url
            .expose()
            .parse()
            .map_err(|_| Error::BadUrl)?;
        let headers = transport::signed_headers(&url, &access.headers)?;
        let client = transport.client(&url);
        let make = || Ok(client.get(url.clone()).headers(headers.clone()));
        let answer = transport::send(&url, Repeat::Always, make).await?;
        if answer.status().as_u16() != 200 {
            return Err(store_error(&url, answer).await);
        }
        Ok(Self { url, answer })
    }

    /// Length of the whole value in bytes, if the store said.
    pub fn length_bytes(&self) -> Option<u64> {
        self.answer.content_length()
    }

    /// The next bytes, or `None` at the end of the value.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match tokio::time::timeout(limits::STALL_TIMEOUT, self.answer.chunk()).await {
            Ok(piece) => piece.map_err(|error| transport_error(&self.url, error)),
            Err(_) => Err(Error::TimedOut {
                host: host_text(&self.url),
            }),
        }
    }

    /// The whole value in memory, refused past `bytes_max`.
    pub async fn bytes(mut self, bytes_max: usize) -> Result<Bytes, Error> {
        let mut value = Vec::new();
        while let Some(piece) = self.chunk().await? {
            if value.len() + piece.len() > bytes_max {
                let too_long = "the value is longer than the caller allows";
                return Err(Error::Value(std::io::Error::other(too_long)));
            }
            value.extend_from_slice(&piece);
        }
        Ok(value.into())
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("length_bytes", &self.length_bytes())
            .finish_non_exhaustive()
    }
}

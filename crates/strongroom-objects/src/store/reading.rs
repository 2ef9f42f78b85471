//! An object being read.

use super::files::Held;
use super::{Store, StoreError, copy_of, entity_tag};
use crate::index::{BodyPlace, Bucket, ObjectRow};
use crate::runs::reader::{self, OpenRun, Runs};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;
use strongroom_core::secret::DataKey;
use strongroom_core::stream::manifest::{HeadError, Manifest, open_head};
use tokio::task::spawn_blocking;

/// What is authenticated before a download is answered: of a smaller object all, so that a broken
/// one is refused rather than cut off.
const FIRST_BYTES: usize = 1 << 20;

/// An object whose key was right. While it lives, its files stay.
pub(crate) struct Stored {
    pub(crate) manifest: Arc<Manifest>,
    /// The server keeps the key.
    pub(crate) server_keyed: bool,
    /// 0 unless it was uploaded in parts.
    pub(crate) parts: u32,
    runs: Arc<Runs>,
    /// The first run, which was opened to see that it is there.
    first: Option<OpenRun>,
    held: Held,
}

impl Store {
    /// Opens an object with its customer key, or without one if it is server-keyed. The first
    /// run must be there; the only segment of an empty object is authenticated.
    pub(crate) async fn open(
        &self,
        bucket: &Bucket,
        key: &str,
        customer: Option<&DataKey>,
    ) -> Result<Stored, StoreError> {
        let opening = self.files.opening().await;
        let row = self.index.object(bucket.id, key).await?;
        let row = row.ok_or(StoreError::NoSuchKey)?;
        let held = self.files.hold(match &row.place {
            BodyPlace::Inline(_) => Vec::new(),
            BodyPlace::Files(files) => files.iter().map(|file| file.name).collect(),
        });
        drop(opening);
        let (server_keyed, parts) = (row.sealed_key.is_some(), row.parts);
        let runs = self
            .authenticate(bucket, key, customer, row)
            .inspect_err(log_broken)?;
        let runs = Arc::new(runs);
        let first = if matches!(runs.place, BodyPlace::Inline(_)) {
            open_first(&runs)
        } else {
            let runs = Arc::clone(&runs);
            let opened = spawn_blocking(move || open_first(&runs)).await;
            opened.map_err(io::Error::other)?
        };
        Ok(Stored {
            manifest: Arc::clone(&runs.manifest),
            server_keyed,
            parts,
            runs,
            first: first.map_err(unreadable)?,
            held,
        })
    }

    /// Opens the head and compares it with the row.
    fn authenticate(
        &self,
        bucket: &Bucket,
        key: &str,
        customer: Option<&DataKey>,
        row: ObjectRow,
    ) -> Result<Runs, StoreError> {
        let data_key = match (row.sealed_key, customer) {
            (None, None) => return Err(StoreError::NoKey),
            (Some(_), Some(_)) => return Err(StoreError::KeyNotApplicable),
            (None, Some(customer)) => copy_of(customer),
            (Some(sealed), None) => self
                .keys
                .open_object_key(&bucket.name, key, &sealed)
                .map_err(|_| StoreError::Broken("a kept key does not open"))?,
        };
        let server_keyed = customer.is_none();
        let opened = open_head(&row.head, &data_key, &bucket.name, key);
        let manifest = opened.map_err(|error| match error {
            HeadError::WrongKey if !server_keyed => StoreError::WrongKey,
            _ => StoreError::Broken("a head does not open"),
        })?;
        let known = row.etag.is_empty() || row.etag == manifest.etag;
        if !known || row.size != manifest.size {
            return Err(StoreError::Broken("a row differs from its manifest"));
        }
        // As the ETag says, which is authentic.
        let parts = if entity_tag::is_of_parts(&manifest.etag) {
            manifest.runs.len()
        } else {
            0
        };
        let count = match &row.place {
            BodyPlace::Inline(_) => 1,
            BodyPlace::Files(files) => files.len(),
        };
        if count != manifest.runs.len() || row.parts as usize != parts {
            return Err(StoreError::Broken("other runs than the manifest's"));
        }
        Ok(Runs {
            channel: self.channel.clone(),
            bucket: bucket.name.clone(),
            object_key: key.to_owned(),
            key: data_key,
            manifest: Arc::new(manifest),
            place: row.place,
        })
    }
}

/// Opens the first run; all of an empty object is its segments without a byte.
fn open_first(runs: &Runs) -> io::Result<Option<OpenRun>> {
    let first = runs.open(0)?;
    if runs.manifest.size > 0 {
        return Ok(Some(first));
    }
    first.check_empty(runs)?;
    Ok(None)
}

fn log_broken(error: &StoreError) {
    if let StoreError::Broken(why) = error {
        tracing::error!(
            why,
            "a row of the object store's index is not what was stored"
        );
    }
}

/// What the reader found and has logged.
fn unreadable(error: io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
            StoreError::Broken("a value is not what was stored")
        }
        ErrorKind::NotFound => StoreError::Broken("a file is missing"),
        _ => error.into(),
    }
}

impl Stored {
    /// Where the part is that comes `number`th, for `partNumber=`. An object that was put whole
    /// is its own only part.
    pub(crate) fn part_range(&self, number: u32) -> Option<Range<u64>> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        let length = self.manifest.runs.get(at)?.length;
        let start = self.manifest.runs[..at].iter().map(|run| run.length).sum();
        Some(start..start + length)
    }

    /// The bytes of `range`, which must lie in the object. The first of them are authenticated
    /// before this returns. An error in the stream means that what follows cannot be trusted:
    /// the receiver must see the transfer break.
    pub(crate) async fn stream(
        self,
        range: Range<u64>,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, StoreError> {
        let bytes = reader::stream(self.runs, range, self.first).await;
        let mut bytes = Box::pin(bytes.map_err(unreadable)?);
        let mut first = Vec::new();
        let mut length = 0;
        while length < FIRST_BYTES {
            let Some(next) = bytes.next().await else {
                break;
            };
            let next = next.map_err(unreadable)?;
            length += next.len();
            first.push(Ok(next));
        }
        let held = self.held;
        Ok(stream::iter(first).chain(bytes).map(move |bytes| {
            let _held = &held;
            bytes
        }))
    }
}

//! Why the index did not answer.

use rusqlite::ErrorCode;
use std::sync::Arc;

/// Why the index did not answer. No message holds bytes of a row.
///
/// After [`IndexError::Busy`] and [`IndexError::Limit`] nothing was written. After any other error
/// a write may have been *kept or lost*, so files that it named must stay until
/// [`super::Index::names_in`] tells which.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum IndexError {
    /// The disk or the file's limit is full; reads and deletions still work.
    #[error("the index is full")]
    Full,
    /// More writes wait than may wait; try later.
    #[error("the index has too many writes waiting")]
    Busy,
    /// It was closed.
    #[error("the index is closed")]
    Closed,
    /// A field is longer than its limit; the text names it.
    #[error("{0} is over its limit")]
    Limit(&'static str),
    /// A page or a value of the file is damaged.
    #[error("the index is damaged")]
    Corrupt,
    /// The file is something else.
    #[error("the file is no index of this program")]
    Foreign,
    /// The file was written by a newer program.
    #[error("the index has format {found}, this program knows up to {known}")]
    Newer {
        /// The file's format.
        found: u32,
        /// The newest format that this program reads.
        known: u32,
    },
    /// The system failed; the cause is for the log alone.
    #[error("the index failed")]
    Io(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl IndexError {
    /// With a cause for the log.
    pub(super) fn io(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Io(Arc::from(cause.into()))
    }
}

impl From<rusqlite::Error> for IndexError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => Self::Corrupt,
            _ => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => Self::Full,
                Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt,
                Some(ErrorCode::NotADatabase) => Self::Foreign,
                _ => Self::io(error),
            },
        }
    }
}

//! What can go wrong, told by what the caller or the operator can do about it. No text quotes a key, a
//! value or a URL.

use std::fmt;
use std::sync::Arc;

/// What the engine or the operating system said, for the log.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why the store did not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no store: fix the configuration.
    #[error("the store's URL must be `memory:` or `sqlite:PATH`")]
    UnknownUrl,
    /// The place named by the URL cannot be used (a directory, no permission, no such folder): fix it or the URL.
    #[error("the store's file cannot be opened")]
    Location(#[source] Cause),
    /// Opened as [`OpenMode::Existing`](crate::OpenMode::Existing), but nothing was ever stored there.
    #[error("there is no store at this place yet")]
    Missing,
    /// There is no database, but files that SQLite keeps beside one: they would be replayed into a new one. Put back the
    /// database that they belong to, or move them away.
    #[error("the store's file is gone, but {names} of it are there: put that file back, or move them away")]
    LeftOver {
        /// The files, by name.
        names: String,
    },
    /// Opened as [`OpenMode::Alone`](crate::OpenMode::Alone), as another process has opened it already: end that one first.
    #[error("another server runs on this store: stop it first")]
    InUse,
    /// The file was deleted, or another put in its place, while it was open: start again with the right one.
    #[error("the store's file was deleted or replaced while it was in use")]
    Replaced,
    /// There is a database, but another program's: it was left as it was.
    #[error("the store's file belongs to another program")]
    Foreign,
    /// Written by a newer release: run that one.
    #[error("the store has schema {found}, this program knows {known}: it was written by a newer release")]
    SchemaNewer {
        /// The schema number in the store.
        found: i64,
        /// The newest that this program reads.
        known: i64,
    },
    /// What is stored cannot be read: restore a backup.
    #[error("the store is damaged, or is no store")]
    Corrupt(#[source] Cause),
    /// No space left: make room; reading still works.
    #[error("the store's disk is full")]
    Full(#[source] Cause),
    /// The engine is busy, down or refuses: try again later.
    #[error("the store is unavailable")]
    Unavailable(#[source] Cause),
    /// The caller asked to keep more than the store keeps. Nothing was written.
    #[error("{part} is longer than {limit} bytes")]
    TooLarge {
        /// What is too large.
        part: Part,
        /// The most it may have, in bytes.
        limit: usize,
    },
}

/// The parts of a record that have a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The id in its key.
    Id,
    /// Its value.
    Value,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id => "the record's id",
            Self::Value => "the record's value",
        })
    }
}

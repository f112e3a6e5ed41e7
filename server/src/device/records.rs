//! The sessions' records in the store: begun, found, and changed in one way, by [`Records::edit`]. Each expires by itself.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use device_proto::RequestId;
use store::{Key, Put, Space, Store, Swap, Version};
use thiserror::Error;

use super::record::Record;
use crate::cause::chain;
use crate::clock::now;

/// How often a record is read and written, beyond the first time.
const TRIES: usize = 5;

/// The pause before the second time; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// What became of a record, and what its editor takes along.
pub(super) enum Edit<T> {
    /// It was read, and that is all.
    Unchanged(T),
    /// It is to be kept as it is now.
    Changed(T),
}

/// What an editor took along, and the record that is kept now.
pub(super) type Edited<T> = (T, Option<(Record, Version)>);

/// A session could not be read or written.
#[derive(Clone, Debug, Error)]
pub(crate) enum SessionError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Another writer changed it since it was read.
    #[error("the session was changed meanwhile")]
    Stale,
    /// What was stored is not a record.
    #[error("a session's record cannot be read")]
    Unreadable,
}

impl SessionError {
    /// Whether it may do to try again.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Stale)
    }
}

/// The sessions' records.
pub(super) struct Records(Arc<dyn Store>);

impl Records {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// Keeps a new session.
    pub(super) async fn begin(&self, session: &RequestId, record: &Record) -> Result<(), SessionError> {
        let (value, expires) = (encode(record), record.expires(now()));
        match self.0.put_if_absent(key(session), value, expires, now()).await? {
            Put::Done(_) => Ok(()),
            Put::Exists => Err(SessionError::Stale),
        }
    }

    /// Returns the session, unless it has expired.
    pub(super) async fn find(&self, session: &RequestId) -> Result<Option<(Record, Version)>, SessionError> {
        let Some(found) = self.0.get(key(session), now()).await? else {
            return Ok(None);
        };
        let record = serde_json::from_slice(&found.value).map_err(|_| SessionError::Unreadable)?;
        Ok(Some((record, found.version)))
    }

    /// Edits the session's record: reads it, and keeps what the editor changed unless somebody else changed it meanwhile.
    /// A session that is gone is `None`, and a record that the editor takes away is forgotten.
    ///
    /// The editor may be called again: after a conflict, and after a failed write, which may have been kept all the same.
    pub(super) async fn edit<T, E: From<SessionError>>(
        &self,
        session: &RequestId,
        mut editor: impl FnMut(&mut Option<Record>) -> Result<Edit<T>, E>,
    ) -> Result<Edited<T>, E> {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(FIRST_PAUSE)
            .with_max_times(TRIES)
            .build();
        loop {
            match self.edit_once(session, &mut editor).await {
                Err(error) if error.may_pass() => {
                    tracing::debug!(error = chain(&error), "the store stumbles");
                    tokio::time::sleep(pauses.next().ok_or(error)?).await;
                }
                done => return done?,
            }
        }
    }

    async fn edit_once<T, E>(
        &self,
        session: &RequestId,
        editor: &mut impl FnMut(&mut Option<Record>) -> Result<Edit<T>, E>,
    ) -> Result<Result<Edited<T>, E>, SessionError> {
        let (mut record, read) = self.find(session).await?.unzip();
        let done = match editor(&mut record) {
            Ok(Edit::Changed(done)) => done,
            Ok(Edit::Unchanged(done)) => return Ok(Ok((done, record.zip(read)))),
            Err(error) => return Ok(Err(error)),
        };
        let kept = match (record, read) {
            (Some(record), Some(read)) => {
                let version = self.replace(session, read, &record).await?;
                Some((record, version))
            }
            (None, Some(_)) => {
                self.0.delete(key(session)).await?;
                None
            }
            (_, None) => None,
        };
        Ok(Ok((done, kept)))
    }

    async fn replace(
        &self,
        session: &RequestId,
        read: Version,
        record: &Record,
    ) -> Result<Version, SessionError> {
        let (value, expires) = (encode(record), record.expires(now()));
        match self
            .0
            .compare_and_set(key(session), read, value, expires, now())
            .await?
        {
            Swap::Done(version) => Ok(version),
            Swap::Conflict | Swap::Gone => Err(SessionError::Stale),
        }
    }
}

fn key(session: &RequestId) -> Key<'_> {
    Key {
        space: Space::Session,
        id: session.as_str(),
    }
}

fn encode(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("texts and numbers always serialize")
}

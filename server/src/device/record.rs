//! What the server keeps of a session (D-032): all of it useless without the challenge, which only the device has.

use std::collections::BTreeMap;
use std::sync::Arc;

use device_proto::seal::Sealed;
use device_proto::{RequestId, ResourceUrn, Verifier};
use serde::{Deserialize, Serialize};
use store::{Key, Put, Space, Store, Swap, UnixSeconds, Version};
use thiserror::Error;

/// How long a session is kept after it last got a token, seconds: 90 days.
const KEPT: u64 = 90 * 24 * 3600;

/// How long a failure is kept, so that a device that was away still learns of it, seconds.
const FAILURE_KEPT: u64 = 600;

/// A session's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What the device's proof is checked against.
    pub(crate) verifier: Verifier,
    /// The resource of the first token.
    pub(crate) resource: ResourceUrn,
    /// What the device calls itself; shown to the person.
    pub(crate) device_name: Option<String>,
    /// Where the request came from; shown to the person.
    pub(crate) address: String,
    /// The code to compare.
    pub(crate) user_code: String,
    /// Unix seconds.
    pub(crate) created_at: u64,
    /// How far it is.
    pub(crate) stage: Stage,
}

/// How far a session is. What exists only at one stage is only there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Somebody has yet to sign in.
    Pending {
        /// Until when, Unix seconds (D-005).
        login_ends: u64,
    },
    /// Somebody did.
    Active(Active),
    /// Nobody did, or the provider said no.
    Failed {
        /// An OAuth error code.
        error: String,
        /// For people.
        description: String,
    },
}

/// What an active session has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Active {
    /// Who signed in, for people.
    pub(crate) subject: String,
    /// The tokens, each sealed with the challenge.
    pub(crate) tokens: BTreeMap<ResourceUrn, Sealed>,
    /// The refresh token, sealed with the challenge under a key of its own.
    pub(crate) refresh: Option<Sealed>,
    /// When the login's own token ends, Unix seconds.
    pub(crate) expires_at: u64,
    /// The Yjs client id that wrote these tokens; the next incarnation's is larger (D-034).
    pub(crate) writer: u64,
}

impl Record {
    fn expires(&self, now: UnixSeconds) -> UnixSeconds {
        match self.stage {
            Stage::Pending { login_ends } => UnixSeconds::new(login_ends),
            Stage::Active(_) => now.plus(KEPT),
            Stage::Failed { .. } => now.plus(FAILURE_KEPT),
        }
    }

    /// Whether somebody has yet to sign in.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.stage, Stage::Pending { .. })
    }
}

/// The sessions in the store.
pub(crate) struct Sessions(Arc<dyn Store>);

/// A session could not be read or written.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The session is gone, or somebody else changed it.
    #[error("the session is gone or was changed by somebody else")]
    Stale,
    /// What was stored is not a record.
    #[error("a session's record cannot be read")]
    Unreadable,
}

impl Sessions {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// Keeps a new session.
    pub(crate) async fn begin(
        &self,
        session: &RequestId,
        record: &Record,
        now: UnixSeconds,
    ) -> Result<(), SessionError> {
        match self
            .0
            .put_if_absent(key(session), encode(record), record.expires(now), now)
            .await?
        {
            Put::Done(_) => Ok(()),
            Put::Exists => Err(SessionError::Stale),
        }
    }

    /// Returns the session, unless it has expired.
    pub(crate) async fn find(
        &self,
        session: &RequestId,
        now: UnixSeconds,
    ) -> Result<Option<(Record, Version)>, SessionError> {
        let Some(found) = self.0.get(key(session), now).await? else {
            return Ok(None);
        };
        let record = serde_json::from_slice(&found.value).map_err(|_| SessionError::Unreadable)?;
        Ok(Some((record, found.version)))
    }

    /// Replaces the session, provided it is still the one that was read.
    pub(crate) async fn replace(
        &self,
        session: &RequestId,
        version: Version,
        record: &Record,
        now: UnixSeconds,
    ) -> Result<(), SessionError> {
        match self
            .0
            .compare_and_set(key(session), version, encode(record), record.expires(now), now)
            .await?
        {
            Swap::Done(_) => Ok(()),
            Swap::Conflict | Swap::Gone => Err(SessionError::Stale),
        }
    }

    /// Forgets the session.
    pub(crate) async fn forget(&self, session: &RequestId) -> Result<(), SessionError> {
        Ok(self.0.delete(key(session)).await?)
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

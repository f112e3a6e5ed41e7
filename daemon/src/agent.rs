//! The agent: who is logged in, and what a client may ask of it. Owns the sessions; answers from the table.

use std::sync::Arc;

use ipc_proto::{Event, Failure, ProfileName, Started, Status, Stopped};
use tokio::sync::broadcast;

use crate::table::Token;

/// A handle to the agent; cheap to clone.
#[derive(Clone)]
pub(crate) struct Agent {}

/// What `token` asks (I-005).
pub(crate) struct TokenAsk {
    pub(crate) profile: ProfileName,
    pub(crate) resource: String,
    pub(crate) min_valid: Option<u64>,
    pub(crate) force: bool,
}

/// What `start` asks (I-005).
pub(crate) struct StartAsk {
    pub(crate) url: String,
    pub(crate) profile: ProfileName,
    pub(crate) resource: String,
    pub(crate) one_shot: bool,
}

/// Which sessions `stop` means.
pub(crate) enum Which {
    One(ProfileName),
    All,
}

/// A login under way, as one client sees it. Dropping it cancels the login, unless another client waits too.
pub(crate) struct Login {}

/// What a login's waiter is told next.
pub(crate) enum Step {
    Event(Event),
    Started(Started),
    /// One-shot: the token itself; the session has ended.
    Token(Arc<Token>),
    Failed(Failure),
}

impl Login {
    /// Returns the next step; `Started`, `Token` and `Failed` are the last one.
    pub(crate) async fn next(&mut self) -> Step {
        std::future::pending().await
    }
}

impl Agent {
    /// Returns a token that is valid for at least `min_valid` seconds. From memory when it can.
    pub(crate) async fn token(&self, _ask: TokenAsk) -> Result<Arc<Token>, Failure> {
        std::future::pending().await
    }

    pub(crate) async fn start(&self, _ask: StartAsk) -> Result<Login, Failure> {
        std::future::pending().await
    }

    pub(crate) fn status(&self, _profile: Option<&ProfileName>) -> Result<Status, Failure> {
        Err(Failure::new(ipc_proto::ErrorCode::Internal, ""))
    }

    /// Ends sessions here and on the server.
    pub(crate) async fn stop(&self, _which: Which) -> Result<Stopped, Failure> {
        std::future::pending().await
    }

    /// Returns every event from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Event> {
        broadcast::channel(1).1
    }

    /// Lets every session go without ending it on the server, and wipes what is in memory.
    pub(crate) async fn close(&self) {}
}

//! Where one request's lines go: each kind of answer becomes a line with the request's id, in the outbox of its
//! connection.

use ipc_proto::{
    Event, Failure, Id, Service, TokenFields, encode_answer, encode_credential, encode_event, encode_failure,
    encode_granted, encode_token,
};
use serde::Serialize;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::request::Granted;
use crate::table::Token;

/// Lines for one client that may wait to be written; then its requests wait.
const OUTBOX: usize = 16;

/// One line for a client. May hold a token.
pub(super) type Line = Zeroizing<Vec<u8>>;

/// The lines for one client that are not yet written; cheap to clone.
#[derive(Clone)]
pub(super) struct Outbox(mpsc::Sender<Line>);

impl Outbox {
    /// Returns an empty one, and what its lines come out of.
    pub(super) fn new() -> (Self, mpsc::Receiver<Line>) {
        let (sender, lines) = mpsc::channel(OUTBOX);
        (Self(sender), lines)
    }

    /// Returns where the lines of the request with this id go.
    pub(super) fn reply(&self, id: Id) -> Reply {
        Reply {
            id,
            out: self.clone(),
        }
    }

    /// Waits while the box is full.
    pub(super) async fn has_room(&self) {
        let _ = self.0.reserve().await;
    }

    async fn send(&self, line: Line) {
        // Without a writer the connection is about to be dropped, and this request with it.
        let _ = self.0.send(line).await;
    }
}

/// Where one request's lines go. Each method waits while the outbox is full.
pub(super) struct Reply {
    id: Id,
    out: Outbox,
}

impl Reply {
    /// Answers.
    pub(super) async fn yes(&self, answer: &impl Serialize) {
        self.out.send(encode_answer(&self.id, answer)).await;
    }

    /// Answers that it failed.
    pub(super) async fn no(&self, failure: &Failure) {
        self.out.send(encode_failure(&self.id, failure)).await;
    }

    /// Answers one way or the other.
    pub(super) async fn result(&self, result: &Result<impl Serialize, Failure>) {
        match result {
            Ok(answer) => self.yes(answer).await,
            Err(failure) => self.no(failure).await,
        }
    }

    /// Tells something on the way to the answer.
    pub(super) async fn event(&self, event: &Event) {
        self.out.send(encode_event(&self.id, event)).await;
    }

    /// Answers with a token and how its service wants to be shown it.
    pub(super) async fn credential(&self, token: &Token, shown: Service<'_>) {
        self.out
            .send(encode_credential(&self.id, fields(token), shown))
            .await;
    }

    /// Answers with what a provider has granted.
    pub(super) async fn granted(&self, granted: &Granted) {
        self.out.send(encode_granted(&self.id, granted.fields())).await;
    }

    /// Answers with a token.
    pub(super) async fn token(&self, token: &Token) {
        self.out.send(encode_token(&self.id, fields(token))).await;
    }
}

fn fields(token: &Token) -> TokenFields<'_> {
    TokenFields {
        access_token: token.access_token(),
        token_type: &token.token_type,
        resource: token.resource.as_str(),
        expires_at: token.expires_at,
        scope: token.scope.as_deref(),
    }
}

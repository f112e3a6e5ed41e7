//! A login as one waiting client sees it: the page, the link, and in the end a token or the reason why there is none.

use std::sync::Arc;
use std::time::Duration;

use device_proto::ResourceUrn;
use ipc_proto::{ErrorCode, Event, Failure, Link, ProfileName, Started};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{Handle, Phase, State, now, over};
use crate::table::Token;

/// How long after the login its own token may take.
const FIRST_TOKEN: Duration = Duration::from_secs(30);

/// What a client that waits for a login is told next.
pub(crate) enum Step {
    /// Something on the way.
    Event(Event),
    /// Done.
    Started(Started),
    /// Done, for a one-shot: the token itself.
    Token(Arc<Token>),
    /// It failed.
    Failed(Failure),
}

/// A login under way, as one client sees it. Dropping it cancels the login, unless another client waits too.
pub(crate) struct Login {
    session: Handle,
    state: watch::Receiver<State>,
    /// What this client wants a token for; the login may have been begun for another resource.
    resource: ResourceUrn,
    /// Whether the session's first token comes without asking: the login was not done yet.
    comes_unasked: bool,
    told: Told,
}

/// What this client was told already.
#[derive(Default)]
struct Told {
    page: bool,
    connected: bool,
}

/// What follows from the state for a client that waits.
enum Next {
    Tell(Event),
    Wait,
    LoggedIn,
    Failed(Failure),
}

impl Login {
    /// Follows a session to its first token. `state` comes from [`Handle::begin`] or [`Handle::follow`].
    pub(crate) fn new(session: Handle, state: watch::Receiver<State>, resource: ResourceUrn) -> Self {
        let is_pending = *state.borrow().phase() == Phase::Pending;
        Self {
            comes_unasked: is_pending && resource == session.purpose().resource,
            session,
            state,
            resource,
            told: Told::default(),
        }
    }

    /// Returns the login's name.
    pub(crate) fn profile(&self) -> &ProfileName {
        &self.session.purpose().profile
    }

    /// Returns the next step; `Started`, `Token` and `Failed` are the last one.
    pub(crate) async fn next(&mut self) -> Step {
        loop {
            let next = next(&self.state.borrow_and_update(), &mut self.told);
            match next {
                Next::Tell(event) => return Step::Event(event),
                Next::Failed(failure) => return Step::Failed(failure),
                Next::LoggedIn => return self.finish().await.unwrap_or_else(Step::Failed),
                Next::Wait => self.changed().await,
            }
        }
    }

    async fn changed(&mut self) {
        // The session's own handle keeps the sender.
        let _ = self.state.changed().await;
    }

    async fn finish(&mut self) -> Result<Step, Failure> {
        let token = match self.session.held(&self.resource, now()) {
            Some(token) => token,
            None => self.token().await?,
        };
        if self.session.purpose().one_shot {
            return Ok(Step::Token(token));
        }
        self.kept().await;
        Ok(Step::Started(Started {
            profile: self.session.purpose().profile.clone(),
            subject: self.session.state().subject().map(Into::into),
            resource: self.resource.to_string(),
            expires_at: token.expires_at,
        }))
    }

    /// Waits until a keychain has the login, or has said why not: a person who is told that they are logged in stays so,
    /// whatever becomes of this daemon. Every keychain answers within a deadline.
    async fn kept(&mut self) {
        let is_settled = |state: &State| state.kept().is_some() || state.is_over();
        // The session's own handle keeps the sender.
        let _ = self.state.wait_for(is_settled).await;
    }

    /// Returns a valid token. The login's own comes unasked.
    async fn token(&mut self) -> Result<Arc<Token>, Failure> {
        if self.comes_unasked {
            let due = Instant::now() + FIRST_TOKEN;
            return timeout_at(due, self.unasked())
                .await
                .unwrap_or_else(|_| Err(no_token()));
        }
        self.session.fetch(self.resource.clone(), now()).await?;
        self.session.held(&self.resource, now()).ok_or_else(no_token)
    }

    async fn unasked(&mut self) -> Result<Arc<Token>, Failure> {
        loop {
            if let Next::Failed(failure) = next(&self.state.borrow_and_update(), &mut self.told) {
                return Err(failure);
            }
            if let Some(token) = self.session.held(&self.resource, now()) {
                return Ok(token);
            }
            self.changed().await;
        }
    }
}

fn no_token() -> Failure {
    Failure::new(
        ErrorCode::Internal,
        "the login is done, but the server sent no valid token",
    )
}

fn next(state: &State, told: &mut Told) -> Next {
    match state.phase() {
        Phase::Failed(failure) => return Next::Failed(failure.clone()),
        Phase::Ended => return Next::Failed(over()),
        Phase::Active => return Next::LoggedIn,
        Phase::Pending => {}
    }
    if !told.page
        && let Some(page) = state.authorize()
    {
        told.page = true;
        return Next::Tell(page);
    }
    let connected = state.link() == Link::Connected;
    if told.page && told.connected != connected {
        told.connected = connected;
        return Next::Tell(state.linked());
    }
    Next::Wait
}

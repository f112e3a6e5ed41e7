//! A session: one login at one server, from its challenge to its end. One task owns it; everybody else holds a
//! [`Handle`].

mod flight;
mod login;
mod open;
mod state;
mod task;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use device_proto::ResourceUrn;
use ipc_proto::{ErrorCode, Event, Failure, ProfileName, ProfileStatus};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

pub(crate) use self::login::{Login, Step};
pub(crate) use self::state::{Phase, State};
use crate::server::Server;
use crate::table::{Table, Token};

/// Requests to one session that may wait; one more waits at the sender.
const COMMANDS: usize = 32;

/// What a session is for.
pub(crate) struct Purpose {
    pub(crate) profile: ProfileName,
    pub(crate) server: Server,
    /// What the login is asked for.
    pub(crate) resource: ResourceUrn,
    /// Whether it lives only as long as somebody waits for it.
    pub(crate) one_shot: bool,
}

/// What a session's task and its handles see together.
struct Shared {
    purpose: Purpose,
    table: Table,
    state: watch::Sender<State>,
    events: broadcast::Sender<Event>,
}

/// What only the session's task can do.
enum Command {
    /// Get a token of a resource that is valid beyond a time (Unix seconds).
    Fetch(ResourceUrn, u64, Answer<Result<(), Failure>>),
    /// End the session, and say whether the server knows.
    End(Answer<bool>),
}

type Answer<T> = oneshot::Sender<T>;

/// A session, for everybody but its task; cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Makes a session. It lives while the returned future is polled, a pending one besides only while
    /// somebody holds a [`Handle::follow`]: begin with one.
    pub(crate) fn begin(
        purpose: Purpose,
        events: broadcast::Sender<Event>,
    ) -> (
        Self,
        watch::Receiver<State>,
        impl Future<Output = ()> + Send + 'static,
    ) {
        let (state, follower) = watch::channel(State::new(purpose.profile.clone()));
        let (commands, received) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared {
            purpose,
            table: Table::default(),
            state,
            events,
        });
        let handle = Self {
            shared: Arc::clone(&shared),
            commands,
        };
        (
            handle,
            follower,
            async move { task::run(&shared, received).await },
        )
    }

    pub(crate) fn purpose(&self) -> &Purpose {
        &self.shared.purpose
    }

    /// Returns a view of the state that can be waited on. Whoever holds one keeps a pending login alive.
    pub(crate) fn follow(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// Returns the state as it is.
    pub(crate) fn state(&self) -> watch::Ref<'_, State> {
        self.shared.state.borrow()
    }

    /// Returns the resource's token if it is valid beyond `until` (Unix seconds).
    pub(crate) fn held(&self, resource: &ResourceUrn, until: u64) -> Option<Arc<Token>> {
        self.shared.table.get(resource.as_str(), 0, until)
    }

    /// Returns when the resource's last token ends or ended, Unix seconds.
    pub(crate) fn last_end(&self, resource: &ResourceUrn) -> Option<u64> {
        let listed = self.shared.table.list().into_iter();
        let mut same = listed.filter(|token| token.resource == resource.as_str());
        same.next().map(|token| token.expires_at)
    }

    /// Has the server put a token that is valid beyond `until` into the table.
    pub(crate) async fn fetch(&self, resource: ResourceUrn, until: u64) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        let _ = self.commands.send(Command::Fetch(resource, until, answer)).await;
        answered.await.unwrap_or_else(|_| Err(over()))
    }

    /// Ends the session; returns whether the server confirmed it.
    pub(crate) async fn end(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        let _ = self.commands.send(Command::End(answer)).await;
        // A session that is gone already was ended by somebody else, who heard the answer.
        answered.await.unwrap_or(true)
    }

    /// Whether both mean the same session.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Returns what `status` shows.
    pub(crate) fn status(&self) -> ProfileStatus {
        let state = self.state();
        let (phase, error) = state.shown();
        ProfileStatus {
            profile: self.purpose().profile.clone(),
            url: self.purpose().server.to_string(),
            state: phase,
            link: state.link(),
            subject: state.subject().map(Into::into),
            error,
            kept: None,
            expires_at: None,
            tokens: self.shared.table.list(),
        }
    }
}

/// The server was asked, and says nothing.
pub(crate) fn slow() -> Failure {
    Failure::new(ErrorCode::Timeout, "the server did not answer in time")
}

fn over() -> Failure {
    Failure::new(ErrorCode::NotLoggedIn, "the session has ended")
}

/// Returns the time in Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

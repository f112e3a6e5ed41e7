//! A session: one login at one server, from its challenge to its end. One task owns it; the rest of the daemon holds
//! [`Handle`]s.

mod approvals;
mod course;
mod decisions;
mod flight;
mod keep;
mod login;
mod open;
mod renewals;
mod state;
mod task;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use device_proto::ResourceUrn;
use device_proto::approval::ApprovalId;
use device_proto::ask::Decision;
use ipc_proto::{Approval, ErrorCode, Event, Failure, KeychainKind, Link, ProfileName, ProfileStatus};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;
use zeroize::Zeroizing;

use self::approvals::Approvals;
pub(crate) use self::decisions::needs_browser;
pub(crate) use self::login::{Login, Step};
pub(crate) use self::state::{Phase, State};
use crate::handover::HandedOver;
use crate::keychain::{Item, Keychain, Keychains};
use crate::server::Server;
use crate::table::{Table, Token};

/// Requests to one session that may wait; one more waits at the sender.
const COMMANDS: usize = 32;

/// How long a link that is being made is waited for.
const LINK_WITHIN: Duration = Duration::from_secs(5);

/// What a session is for.
pub(crate) struct Purpose {
    pub(crate) profile: ProfileName,
    pub(crate) server: Server,
    /// What the login is asked for.
    pub(crate) resource: ResourceUrn,
    /// Whether it lives only as long as a client waits for it.
    pub(crate) one_shot: bool,
    /// The keychain that the client asked for; without one the daemon takes the best there is.
    pub(crate) keychain: Option<KeychainKind>,
}

impl Purpose {
    fn of(item: &Item) -> Self {
        Self {
            profile: item.profile.clone(),
            server: item.server.clone(),
            resource: item.resource.clone(),
            one_shot: false,
            keychain: Some(item.keychain),
        }
    }
}

/// What every session of this daemon shares; cheap to clone.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) keychains: Keychains,
}

/// What a session's task and its handles see together.
struct Shared {
    purpose: Purpose,
    services: Services,
    table: Table,
    approvals: Mutex<Approvals>,
    state: watch::Sender<State>,
    /// Notified when a token is used for the first time.
    used: Notify,
}

impl Shared {
    /// Never held across an await.
    fn approvals(&self) -> MutexGuard<'_, Approvals> {
        // A map of whole entries is whole after any panic.
        self.approvals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keychain(&self, item: &Item) -> Arc<dyn Keychain> {
        self.services.keychains.find(item.keychain)
    }

    /// Returns the keychains that may have an older login of its profile. A one-shot's name is its own.
    fn other_keychains(&self, item: &Item) -> Vec<Arc<dyn Keychain>> {
        let all = self.services.keychains.iter();
        all.filter(|keychain| keychain.kind() != item.keychain && !self.purpose.one_shot)
            .cloned()
            .collect()
    }

    /// Returns what the next daemon needs to go on with it, if it is a login that outlives its clients.
    fn saved(&self, item: &Item) -> Option<Zeroizing<Vec<u8>>> {
        let state = self.state.borrow();
        let is_kept = state.kept().is_some_and(|kept| kept.problem.is_none());
        let is_lasting = !self.purpose.one_shot && *state.phase() == Phase::Active;
        is_lasting.then(|| HandedOver::encode(item, is_kept))
    }
}

/// Where a session comes from.
enum Origin {
    /// A person has yet to log in.
    Login,
    /// A person did so before this daemon ran.
    Earlier(HandedOver),
}

/// How a session ended.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    /// Whether the server knows.
    pub(crate) server_told: bool,
    /// Whether a keychain would not forget its profile.
    pub(crate) is_still_kept: bool,
}

impl Outcome {
    /// Nothing is left of it, here or there.
    const COMPLETE: Self = Self {
        server_told: true,
        is_still_kept: false,
    };
}

/// What only the session's task can do.
enum Command {
    /// Get a token.
    Fetch {
        resource: ResourceUrn,
        /// When the token must not have ended yet, Unix seconds.
        until: u64,
        /// Without a client that waits, the token is for later.
        answer: Option<Answer<Result<(), Failure>>>,
    },
    /// Give the server the person's decision about a request.
    Decide {
        request: ApprovalId,
        decision: Decision,
        answer: Answer<Result<(), Failure>>,
    },
    /// Hand out what another daemon needs to go on with the session, if it is a lasting one.
    Save(Answer<Option<Zeroizing<Vec<u8>>>>),
    /// End the session here, on the server and in the keychain.
    End(Answer<Outcome>),
    /// End the session, but leave the keychain: another login has taken this one's place there. The server is told,
    /// unless the session is over.
    Retire,
}

type Answer<T> = oneshot::Sender<T>;

/// A session as the rest of the daemon sees it; cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Makes a session. It lives while the returned future is polled. A pending login also needs a follower: the returned
    /// receiver is the first one.
    pub(crate) fn begin(
        purpose: Purpose,
        services: Services,
    ) -> (
        Self,
        watch::Receiver<State>,
        impl Future<Output = ()> + Send + 'static,
    ) {
        Self::new(purpose, services, Origin::Login)
    }

    /// Goes on with a login that was done before this daemon ran (D-053).
    pub(crate) fn resume(
        login: HandedOver,
        services: Services,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (session, _, life) = Self::new(Purpose::of(&login.item), services, Origin::Earlier(login));
        (session, life)
    }

    fn new(
        purpose: Purpose,
        services: Services,
        origin: Origin,
    ) -> (
        Self,
        watch::Receiver<State>,
        impl Future<Output = ()> + Send + 'static,
    ) {
        let (state, follower) = watch::channel(State::new(purpose.profile.clone()));
        let (commands, received) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared {
            purpose,
            services,
            table: Table::default(),
            approvals: Mutex::default(),
            state,
            used: Notify::new(),
        });
        let handle = Self {
            shared: Arc::clone(&shared),
            commands,
        };
        (handle, follower, async move {
            task::run(&shared, origin, received).await;
        })
    }

    pub(crate) fn purpose(&self) -> &Purpose {
        &self.shared.purpose
    }

    /// Returns a view of the state that can be waited on. A pending login lives as long as one is held.
    pub(crate) fn follow(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// Returns the state as it is.
    pub(crate) fn state(&self) -> watch::Ref<'_, State> {
        self.shared.state.borrow()
    }

    /// Returns the resource's token if it is valid beyond `until` (Unix seconds).
    pub(crate) fn held(&self, resource: &ResourceUrn, until: u64) -> Option<Arc<Token>> {
        self.shared.table.get(resource, 0, until)
    }

    /// Forgets when the tokens were made.
    #[cfg(test)]
    pub(crate) fn age_tokens(&self) {
        self.shared.table.age();
    }

    /// Notes that the token goes to a client: only what is used is renewed ahead of need (D-043).
    pub(crate) fn note_use(&self, token: &Token) {
        if token.usage.mark() {
            self.shared.used.notify_one();
        }
    }

    /// Has the server put a token that is valid beyond `until` into the table.
    pub(crate) async fn fetch(&self, resource: ResourceUrn, until: u64) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        let command = Command::Fetch {
            resource,
            until,
            answer: Some(answer),
        };
        let _ = self.commands.send(command).await;
        answered.await.unwrap_or_else(|_| Err(over()))
    }

    /// The same, without waiting. When too many commands wait already, the next client asks for the token.
    pub(crate) fn fetch_soon(&self, resource: ResourceUrn, until: u64) {
        let _ = self.commands.try_send(Command::Fetch {
            resource,
            until,
            answer: None,
        });
    }

    /// Waits until the link stands or has failed, but not for long: before, nobody knows what waits at the server.
    pub(crate) async fn link_settled(&self) {
        if *self.state().phase() != Phase::Active {
            return;
        }
        let mut state = self.follow();
        let settled = state.wait_for(|state| state.link() != Link::Connecting || state.is_over());
        // What is known by then has to do.
        let _ = timeout(LINK_WITHIN, settled).await;
    }

    /// Returns the requests that wait for the person's decision.
    pub(crate) fn approvals(&self) -> Vec<Approval> {
        let now = now();
        let approvals = self.shared.approvals();
        let waiting = approvals.list().filter(|approval| approval.expires_at > now);
        waiting.cloned().collect()
    }

    /// Gives the server the person's decision about a request.
    pub(crate) async fn decide(&self, request: ApprovalId, decision: Decision) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        let command = Command::Decide {
            request,
            decision,
            answer,
        };
        let _ = self.commands.send(command).await;
        answered.await.unwrap_or_else(|_| Err(over()))
    }

    /// Ends the session here, on the server and in its keychain.
    pub(crate) async fn end(&self) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let _ = self.commands.send(Command::End(answer)).await;
        // A session that is gone already was ended for another client, which heard the answer.
        answered.await.unwrap_or(Outcome::COMPLETE)
    }

    /// Ends a session that another login has replaced.
    pub(crate) async fn retire(&self) {
        let _ = self.commands.send(Command::Retire).await;
    }

    /// Whether a new login may take its place: it is over, or will be soon.
    pub(crate) fn makes_way(&self) -> bool {
        let state = self.state();
        state.is_over() || state.ends_soon(now())
    }

    /// Returns what a keychain would keep of it; nothing when it is not to outlive this daemon.
    pub(crate) async fn save(&self) -> Option<Zeroizing<Vec<u8>>> {
        let (answer, answered) = oneshot::channel();
        let _ = self.commands.send(Command::Save(answer)).await;
        answered.await.ok().flatten()
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
            kept: state.kept().cloned(),
            expires_at: state.expires_at(),
            tokens: self.shared.table.list(),
        }
    }
}

/// The failure of an ask that the server did not answer.
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

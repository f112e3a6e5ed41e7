//! The agent: who is logged in, and what a client may ask of it. Owns the sessions; answers from their tables.

mod approvals;
mod ask;
mod choice;
mod credential;
mod refusal;
mod rejections;
mod sessions;
mod supply;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use ipc_proto::{Added, Diagnosis, Event, Failure, KeychainKind, ProfileName, Status, Stopped};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use zeroize::Zeroizing;

pub(crate) use self::ask::{StartAsk, TokenAsk, Which};
pub(crate) use self::credential::Refused;
use self::refusal::{check_server, too_many, unknown};
use self::rejections::Rejections;
use self::sessions::Sessions;
use self::supply::supply;
use crate::config::Settings;
use crate::diagnose::diagnose;
use crate::handover::{HandOverError, HandedOver};
use crate::keychain::Keychains;
use crate::lifecycle::Shutdown;
use crate::loading::{Loading, load};
use crate::memory;
use crate::session::{Handle, Outcome, Phase, Purpose, Services};
pub(crate) use crate::session::{Login, Step};
use crate::table::Token;

/// Events that a slow watcher may be behind; then it is told that it missed some.
const EVENTS: usize = 256;

/// A handle to the agent; cheap to clone.
#[derive(Clone)]
pub(crate) struct Agent(Arc<Inner>);

struct Inner {
    sessions: Mutex<Sessions>,
    services: Services,
    loading: watch::Sender<Loading>,
    tasks: TaskTracker,
    /// Requests of clients to a person, which need no login.
    requests: TaskTracker,
    /// Cancelled when every session has to let go.
    closing: CancellationToken,
    shutdown: Shutdown,
    settings: Settings,
    rejections: Mutex<Rejections>,
}

impl Agent {
    /// Makes an agent that begins to resume what the keychains keep (D-053). The last one-shot takes the daemon
    /// along through `shutdown`.
    pub(crate) fn new(shutdown: Shutdown, keychains: Keychains, settings: Settings) -> Self {
        let loading = Loading::of(keychains.iter().count());
        let agent = Self(Arc::new(Inner {
            sessions: Mutex::default(),
            services: Services {
                events: broadcast::channel(EVENTS).0,
                keychains,
            },
            loading: watch::Sender::new(loading),
            tasks: TaskTracker::new(),
            requests: TaskTracker::new(),
            closing: CancellationToken::new(),
            shutdown,
            settings,
            rejections: Mutex::default(),
        }));
        agent.load();
        agent
    }

    fn load(&self) {
        for keychain in self.0.services.keychains.iter().cloned() {
            let agent = self.clone();
            self.spawn(async move {
                load(keychain, &agent.0.loading, |item| agent.resume(item.into())).await;
            });
        }
    }

    /// Returns the keychains of this machine.
    pub(crate) fn keychains(&self) -> &Keychains {
        &self.0.services.keychains
    }

    /// Goes on with a login of an earlier daemon, unless its profile has a newer one.
    pub(crate) fn resume(&self, login: HandedOver) {
        let mut sessions = self.sessions();
        let profile = &login.item.profile;
        if sessions.get(profile).is_some() || !sessions.has_room(profile) {
            return;
        }
        let (session, life) = Handle::resume(login, self.0.services.clone());
        sessions.insert(session.clone());
        self.run(session, life);
    }

    /// Returns what is needed to resume every login elsewhere, each as [`HandedOver::decode`] reads it.
    ///
    /// # Errors
    ///
    /// [`HandOverError::Login`].
    pub(crate) async fn save(&self) -> Result<Vec<Zeroizing<Vec<u8>>>, HandOverError> {
        let is_pending = |session: &Handle| *session.state().phase() == Phase::Pending;
        if self.sessions().all().iter().any(is_pending) {
            return Err(HandOverError::Login);
        }
        Ok(self.save_all().await)
    }

    /// The same, without a word about a login under way.
    pub(crate) async fn save_all(&self) -> Vec<Zeroizing<Vec<u8>>> {
        let sessions = self.sessions().with_outgoing();
        let saved = join_all(sessions.iter().map(Handle::save)).await;
        saved.into_iter().flatten().collect()
    }

    /// Returns a token that is valid for as long as was asked, if the provider gives such long ones. From memory when
    /// it can.
    pub(crate) async fn token(&self, ask: &TokenAsk) -> Result<Arc<Token>, Failure> {
        let session = self.token_source(&ask.profile).await?;
        let token = supply(&session, ask).await?;
        session.note_use(&token);
        Ok(token)
    }

    /// Gets a token of one more resource ahead of need.
    pub(crate) async fn add(&self, ask: TokenAsk) -> Result<Added, Failure> {
        let session = self.token_source(&ask.profile).await?;
        let token = supply(&session, &ask).await?;
        Ok(Added {
            profile: ask.profile,
            resource: token.resource.to_string(),
            expires_at: token.expires_at,
        })
    }

    /// Begins a login, or joins the one that is under way: one login a profile at a time. One that is over, or will be
    /// soon, makes way for a new one.
    pub(crate) async fn start(&self, ask: StartAsk) -> Result<Login, Failure> {
        self.loaded().await;
        let mut sessions = self.sessions();
        let profile = if ask.one_shot {
            sessions.one_shot_name()
        } else {
            ask.profile
        };
        match sessions.get(&profile) {
            Some(session) if session.makes_way() => sessions.set_outgoing(session),
            Some(session) => {
                check_server(&session, &ask.server)?;
                let state = session.follow();
                return Ok(Login::new(session, state, ask.resource));
            }
            None => {}
        }
        let purpose = Purpose {
            profile,
            server: ask.server,
            resource: ask.resource,
            one_shot: ask.one_shot,
            keychain: ask.keychain.or(self.0.settings.keychain()),
        };
        self.begin(&mut sessions, purpose)
    }

    /// Returns what there is to know of a profile's login, or of all.
    pub(crate) async fn status(&self, profile: Option<&ProfileName>) -> Result<Status, Failure> {
        let sessions = match profile {
            Some(profile) => vec![self.find(profile).await?],
            None => self.all().await,
        };
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            memory_locked: memory::all_locked(),
            keychain: self.0.loading.borrow().problem().map(Failure::from),
            configuration: self.0.settings.problem(),
            profiles: sessions.iter().map(Handle::status).collect(),
        })
    }

    /// Says what works and what does not. `log` is where the daemon's log goes, `lost` counts the
    /// entries that the audit lacks.
    pub(crate) async fn diagnose(&self, log: Option<&str>, lost: u64) -> Result<Diagnosis, Failure> {
        let status = self.status(None).await?;
        Ok(diagnose(&status, &self.0.services.keychains, log, lost).await)
    }

    /// Ends sessions here and on the server. Here they end whatever the server says (D-052).
    pub(crate) async fn stop(&self, which: Which) -> Result<Stopped, Failure> {
        // What is still being read would come back after the end.
        self.loaded().await;
        let sessions = match which {
            Which::One(profile) => vec![self.find(&profile).await?],
            Which::All => self.all().await,
        };
        self.none_is_out_of_reach(&sessions)?;
        let outgoing = self.sessions().take_outgoing(&sessions);
        join_all(outgoing.iter().map(Handle::end)).await;
        let outcomes = join_all(sessions.iter().map(Handle::end)).await;
        for session in &sessions {
            self.forget(session).await;
        }
        let daemon_leaves = self.is_idle().await;
        Ok(Stopped {
            keychain: self.0.loading.borrow().problem().map(Failure::from),
            daemon_leaves,
            ..stopped(&sessions, &outcomes)
        })
    }

    /// Whether no profile has a login, no keychain that cannot be read may hold one, and no client is served.
    pub(crate) async fn is_idle(&self) -> bool {
        let no_login = self.sessions().is_empty() && self.0.loading.borrow().problem().is_none();
        no_login && !self.serves_clients().await
    }

    /// Notes a request to a person, until what this returns is dropped.
    pub(crate) fn request(&self) -> TaskTrackerToken {
        self.0.requests.token()
    }

    /// Whether a request to a person is under way, or a client's credential would be lost with the daemon.
    async fn serves_clients(&self) -> bool {
        let memory = self.keychains().find(KeychainKind::Memory);
        let keeps = memory.clients().await.is_ok_and(|clients| !clients.is_empty());
        keeps || !self.0.requests.is_empty()
    }

    /// A client is not told that all is ended while a keychain that cannot be read may hold more.
    fn none_is_out_of_reach(&self, found: &[Handle]) -> Result<(), Failure> {
        match self.0.loading.borrow().problem() {
            Some(problem) if found.is_empty() => Err(problem.into()),
            _ => Ok(()),
        }
    }

    /// Returns every event from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Event> {
        self.0.services.events.subscribe()
    }

    /// Lets every session go without ending it on the server, and wipes what is in memory.
    pub(crate) async fn close(&self) {
        self.0.closing.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        *self.sessions() = Sessions::default();
    }

    fn begin(&self, sessions: &mut Sessions, purpose: Purpose) -> Result<Login, Failure> {
        if !sessions.has_room(&purpose.profile) {
            return Err(too_many());
        }
        let resource = purpose.resource.clone();
        let (session, state, life) = Handle::begin(purpose, self.0.services.clone());
        sessions.insert(session.clone());
        self.run(session.clone(), life);
        Ok(Login::new(session, state, resource))
    }

    fn run(&self, session: Handle, life: impl Future<Output = ()> + Send + 'static) {
        let agent = self.clone();
        self.spawn(async move {
            life.await;
            agent.forget(&session).await;
        });
    }

    /// Runs a task until the agent closes.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let closing = self.0.closing.clone();
        self.0.tasks.spawn(closing.run_until_cancelled_owned(task));
    }

    /// Takes a session off the list. The last one-shot leaves nothing behind, not even the daemon.
    async fn forget(&self, session: &Handle) {
        self.sessions().remove(session);
        let is_last = session.purpose().one_shot && self.sessions().is_empty();
        if is_last && !self.serves_clients().await {
            self.0.shutdown.begin();
        }
    }

    /// Returns the session that a profile's tokens come from.
    async fn token_source(&self, profile: &ProfileName) -> Result<Handle, Failure> {
        let listed = self.find(profile).await?;
        self.retire_outgoing(profile);
        Ok(self.sessions().token_source(profile).unwrap_or(listed))
    }

    /// Ends a login that another one has replaced. The keychain has the new one by now.
    pub(crate) fn retire_outgoing(&self, profile: &ProfileName) {
        if let Some(replaced) = self.sessions().take_replaced(profile) {
            self.spawn(async move { replaced.retire().await });
        }
    }

    async fn find(&self, profile: &ProfileName) -> Result<Handle, Failure> {
        if let Some(session) = self.listed(profile) {
            return Ok(session);
        }
        self.loaded().await;
        self.listed(profile).ok_or_else(|| self.unknown(profile))
    }

    async fn all(&self) -> Vec<Handle> {
        self.loaded().await;
        self.sessions().all()
    }

    /// Waits until every keychain has been read, or has said why it cannot be. Each has a deadline.
    async fn loaded(&self) {
        let mut loading = self.0.loading.subscribe();
        // The sender lives as long as the agent.
        let _ = loading.wait_for(Loading::is_settled).await;
    }

    fn listed(&self, profile: &ProfileName) -> Option<Handle> {
        self.sessions().get(profile)
    }

    /// A login in a keychain that is locked is another thing than no login.
    fn unknown(&self, profile: &ProfileName) -> Failure {
        let problem = self.0.loading.borrow().problem();
        problem.map_or_else(|| unknown(profile, &self.sessions().profiles()), Failure::from)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // A map of whole entries is whole after any panic.
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells how these sessions ended.
fn stopped(sessions: &[Handle], outcomes: &[Outcome]) -> Stopped {
    let profiles = |wanted: fn(&Outcome) -> bool| {
        let ended = sessions.iter().zip(outcomes);
        let found = ended.filter(|(_, outcome)| wanted(outcome));
        found
            .map(|(session, _)| session.purpose().profile.clone())
            .collect()
    };
    Stopped {
        profiles: profiles(|_| true),
        server_not_told: profiles(|outcome| !outcome.server_told),
        still_kept: profiles(|outcome| outcome.is_still_kept),
        keychain: None,
        daemon_leaves: false,
    }
}

#[cfg(test)]
mod tests;

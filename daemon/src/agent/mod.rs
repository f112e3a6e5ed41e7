//! The agent: who is logged in, and what a client may ask of it. Owns the sessions; answers from their tables.

mod ask;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use device_proto::ResourceUrn;
use futures_util::future::join_all;
use ipc_proto::{Added, Diagnosis, ErrorCode, Event, Failure, ProfileName, Status, Stopped};
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

pub(crate) use self::ask::{StartAsk, TokenAsk, Which};
use crate::config::Settings;
use crate::diagnose::diagnose;
use crate::keychain::{Item, Keychains};
use crate::lifecycle::Shutdown;
use crate::loading::{Loading, load};
use crate::memory;
use crate::server::Server;
use crate::session::{Around, Farewell, Handle, Phase, Purpose, now, slow};
pub(crate) use crate::session::{Login, Step};
use crate::table::Token;

/// Seconds a token must be valid when a client does not say.
const MIN_VALID: u64 = 60;

/// Seconds that a token must be valid to be handed out at once when it is about to end.
const LEAST_VALID: u64 = 10;

/// How long the server may take for a better token while one is held that has only seconds left. A network that
/// swallows everything looks alive for a minute.
const FALLBACK_AFTER: Duration = Duration::from_secs(2);

/// Logins at once.
const MAX_SESSIONS: usize = 64;

/// Events that a slow watcher may be behind; then it is told that it missed some.
const EVENTS: usize = 256;

/// A handle to the agent; cheap to clone.
#[derive(Clone)]
pub(crate) struct Agent(Arc<Inner>);

struct Inner {
    sessions: Mutex<Sessions>,
    around: Around,
    loading: watch::Sender<Loading>,
    tasks: TaskTracker,
    /// Cancelled when every session has to let go.
    closing: CancellationToken,
    shutdown: Shutdown,
    settings: Settings,
}

#[derive(Default)]
struct Sessions {
    by_profile: BTreeMap<ProfileName, Handle>,
    /// Logins that another one is about to replace: they serve until it is done.
    outgoing: BTreeMap<ProfileName, Handle>,
    /// One-shots so far: each has a name of its own.
    one_shots: u64,
}

impl Agent {
    /// Makes an agent that begins to resume what the keychains keep (D-053). The last one-shot takes the daemon
    /// along through `shutdown`.
    pub(crate) fn new(shutdown: Shutdown, keychains: Keychains, settings: Settings) -> Self {
        let loading = Loading::of(keychains.iter().count());
        let agent = Self(Arc::new(Inner {
            sessions: Mutex::default(),
            around: Around {
                events: broadcast::channel(EVENTS).0,
                keychains,
            },
            loading: watch::Sender::new(loading),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            shutdown,
            settings,
        }));
        agent.load();
        agent
    }

    fn load(&self) {
        for keychain in self.0.around.keychains.iter().cloned() {
            let agent = self.clone();
            self.spawn(async move {
                load(keychain, &agent.0.loading, |item| agent.resume(item)).await;
            });
        }
    }

    /// Goes on with a login that somebody did earlier, unless its profile has a newer one.
    pub(crate) fn resume(&self, item: Item) {
        let mut sessions = self.sessions();
        if sessions.by_profile.len() >= MAX_SESSIONS || sessions.by_profile.contains_key(&item.profile) {
            return;
        }
        let (session, life) = Handle::resume(item, self.0.around.clone());
        sessions.insert(session.clone());
        self.run(session, life);
    }

    /// Returns what is needed to resume every login elsewhere, each as [`Item::decode`] reads it.
    ///
    /// # Errors
    ///
    /// A login is under way: its person would come back to nobody.
    pub(crate) async fn save(&self) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure> {
        let sessions: Vec<_> = self.sessions().by_profile.values().cloned().collect();
        if sessions
            .iter()
            .any(|session| *session.state().phase() == Phase::Pending)
        {
            return Err(Failure::new(ErrorCode::Busy, "a login is under way"));
        }
        Ok(self.save_all().await)
    }

    /// The same, without a word about a login under way.
    pub(crate) async fn save_all(&self) -> Vec<Zeroizing<Vec<u8>>> {
        let sessions = self.sessions().with_outgoing();
        let saved = join_all(sessions.iter().map(Handle::save)).await;
        saved.into_iter().flatten().collect()
    }

    /// Returns a token that is valid for at least `min_valid` seconds, if the provider gives such long ones. From memory
    /// when it can.
    ///
    /// For who does not say how long, one that is about to end is better than none (D-051): see [`held`].
    pub(crate) async fn token(&self, ask: TokenAsk) -> Result<Arc<Token>, Failure> {
        let (session, token) = self.valid(&ask).await?;
        session.note_use(&token);
        Ok(token)
    }

    /// Gets a token of one more resource ahead of need.
    pub(crate) async fn add(&self, ask: TokenAsk) -> Result<Added, Failure> {
        let (_, token) = self.valid(&ask).await?;
        Ok(Added {
            profile: ask.profile,
            resource: token.resource.to_string(),
            expires_at: token.expires_at,
        })
    }

    async fn valid(&self, ask: &TokenAsk) -> Result<(Handle, Arc<Token>), Failure> {
        let session = self.find(&ask.profile).await?;
        let session = self.token_source(&ask.profile).unwrap_or(session);
        let token = match held(&session, ask) {
            Some(token) => token,
            None => fetched(&session, ask).await?,
        };
        Ok((session, token))
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
        match sessions.by_profile.get(&profile).cloned() {
            Some(session) if session.makes_way() => _ = sessions.outgoing.insert(profile.clone(), session),
            Some(session) => return join(session, &ask.server, ask.resource),
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

    pub(crate) async fn status(&self, profile: Option<&ProfileName>) -> Result<Status, Failure> {
        let sessions = match profile {
            Some(profile) => vec![self.find(profile).await?],
            None => self.all().await,
        };
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            memory_locked: memory::all_locked(),
            keychain: self.0.loading.borrow().problem(),
            configuration: self.0.settings.problem(),
            profiles: sessions.iter().map(Handle::status).collect(),
        })
    }

    /// Says what works and what does not.
    pub(crate) async fn diagnose(&self) -> Result<Diagnosis, Failure> {
        let status = self.status(None).await?;
        Ok(diagnose(&status, &self.0.around.keychains).await)
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
        join_all(self.take_outgoing(&sessions).iter().map(Handle::end)).await;
        let farewells = join_all(sessions.iter().map(Handle::end)).await;
        for session in &sessions {
            self.forget(session);
        }
        let named = |wanted: fn(&Farewell) -> bool| {
            let ended = sessions.iter().zip(&farewells);
            let found = ended.filter(|(_, farewell)| wanted(farewell));
            found
                .map(|(session, _)| session.purpose().profile.clone())
                .collect()
        };
        Ok(Stopped {
            profiles: named(|_| true),
            server_not_told: named(|farewell| !farewell.server_told),
            still_kept: named(|farewell| farewell.is_still_kept),
            daemon_leaves: self.sessions().by_profile.is_empty(),
        })
    }

    /// Whether nobody is logged in, and no keychain that cannot be read may hold a login.
    pub(crate) fn is_idle(&self) -> bool {
        self.sessions().by_profile.is_empty() && self.0.loading.borrow().problem().is_none()
    }

    /// Nobody is told that all is ended while a keychain that cannot be read may hold more.
    fn none_is_out_of_reach(&self, found: &[Handle]) -> Result<(), Failure> {
        match self.0.loading.borrow().problem() {
            Some(problem) if found.is_empty() => Err(problem),
            _ => Ok(()),
        }
    }

    /// Returns every event from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Event> {
        self.0.around.events.subscribe()
    }

    /// Lets every session go without ending it on the server, and wipes what is in memory.
    pub(crate) async fn close(&self) {
        self.0.closing.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        *self.sessions() = Sessions::default();
    }

    fn begin(&self, sessions: &mut Sessions, purpose: Purpose) -> Result<Login, Failure> {
        let is_new = !sessions.by_profile.contains_key(&purpose.profile);
        if is_new && sessions.by_profile.len() >= MAX_SESSIONS {
            return Err(Failure::new(ErrorCode::Busy, "too many logins at once"));
        }
        let resource = purpose.resource.clone();
        let (session, state, life) = Handle::begin(purpose, self.0.around.clone());
        sessions.insert(session.clone());
        self.run(session.clone(), life);
        Ok(Login::new(session, state, resource))
    }

    fn run(&self, session: Handle, life: impl Future<Output = ()> + Send + 'static) {
        let agent = self.clone();
        self.spawn(async move {
            life.await;
            agent.forget(&session);
        });
    }

    /// Runs a task until the agent closes.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let closing = self.0.closing.clone();
        self.0.tasks.spawn(closing.run_until_cancelled_owned(task));
    }

    /// Takes a session off the list; one that it did not come to replace is back. The last one-shot leaves nothing
    /// behind, not even the daemon.
    fn forget(&self, session: &Handle) {
        let mut sessions = self.sessions();
        let profile = &session.purpose().profile;
        let listed = sessions.by_profile.get(profile);
        if listed.is_some_and(|listed| listed.is(session)) {
            sessions.by_profile.remove(profile);
            if let Some(outgoing) = sessions.outgoing.remove(profile) {
                sessions.insert(outgoing);
            }
        }
        sessions.outgoing.retain(|_, outgoing| !outgoing.is(session));
        if session.purpose().one_shot && sessions.by_profile.is_empty() {
            self.0.shutdown.begin();
        }
    }

    /// Returns the login that a profile's tokens come from: while a new one waits for its person, the outgoing one.
    fn token_source(&self, profile: &ProfileName) -> Option<Handle> {
        self.retire_outgoing(profile);
        let sessions = self.sessions();
        let outgoing = sessions.outgoing.get(profile);
        outgoing.or_else(|| sessions.by_profile.get(profile)).cloned()
    }

    /// Ends a login that another one has replaced. The keychain has the new one by now.
    pub(crate) fn retire_outgoing(&self, profile: &ProfileName) {
        let mut sessions = self.sessions();
        let is_done = |session: &Handle| session.state().was_active();
        if sessions.by_profile.get(profile).is_some_and(is_done)
            && let Some(outgoing) = sessions.outgoing.remove(profile)
        {
            self.spawn(async move { outgoing.retire().await });
        }
    }

    fn take_outgoing(&self, of: &[Handle]) -> Vec<Handle> {
        let mut sessions = self.sessions();
        of.iter()
            .filter_map(|session| sessions.outgoing.remove(&session.purpose().profile))
            .collect()
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
        self.sessions().by_profile.values().cloned().collect()
    }

    /// Waits until every keychain has been read, or has said why it cannot be. Each has a deadline.
    async fn loaded(&self) {
        let mut loading = self.0.loading.subscribe();
        // The sender lives as long as the agent.
        let _ = loading.wait_for(Loading::is_settled).await;
    }

    fn listed(&self, profile: &ProfileName) -> Option<Handle> {
        self.sessions().by_profile.get(profile).cloned()
    }

    /// A login that is locked away is not one that nobody did.
    fn unknown(&self, profile: &ProfileName) -> Failure {
        let problem = self.0.loading.borrow().problem();
        problem.unwrap_or_else(|| unknown(profile, &self.sessions().by_profile))
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // A map of whole entries is whole after any panic.
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    fn insert(&mut self, session: Handle) {
        let profile = session.purpose().profile.clone();
        self.by_profile.insert(profile, session);
    }

    fn with_outgoing(&self) -> Vec<Handle> {
        self.by_profile
            .values()
            .chain(self.outgoing.values())
            .cloned()
            .collect()
    }

    fn one_shot_name(&mut self) -> ProfileName {
        loop {
            self.one_shots += 1;
            let name = format!("one-shot-{}", self.one_shots);
            let name = name.parse().expect("letters, digits and dashes");
            if !self.by_profile.contains_key(&name) {
                return name;
            }
        }
    }
}

/// Returns the token from memory, if it will do.
///
/// Who does not say how long it must last gets what there is, and it is renewed for the next one: a renewal holds up
/// nobody who has a valid token.
fn held(session: &Handle, ask: &TokenAsk) -> Option<Arc<Token>> {
    let now = now();
    let token = session.held(&ask.resource, now).filter(|_| !ask.force)?;
    let left = token.expires_at.saturating_sub(now);
    let usual = token.usual_min_valid(MIN_VALID);
    if left > ask.min_valid.unwrap_or(usual) {
        return Some(token);
    }
    let is_enough = ask.min_valid.is_none() && left > usual.min(LEAST_VALID);
    if is_enough && is_active(session).is_ok() {
        session.fetch_soon(ask.resource.clone(), token.expires_at);
    }
    is_enough.then_some(token)
}

/// Has the server give one.
async fn fetched(session: &Handle, ask: &TokenAsk) -> Result<Arc<Token>, Failure> {
    let fallback = || session.held(&ask.resource, now()).filter(|_| ask.takes_less());
    let least = now().saturating_add(ask.min_valid.unwrap_or(MIN_VALID));
    let until = match session.last_end(&ask.resource) {
        Some(last_end) if ask.force => least.max(last_end),
        _ => least,
    };
    let fetched = match is_active(session) {
        Err(over) => Err(over),
        Ok(()) if fallback().is_some() => {
            let fetch = session.fetch(ask.resource.clone(), until);
            timeout(FALLBACK_AFTER, fetch).await.unwrap_or_else(|_| Err(slow()))
        }
        Ok(()) => session.fetch(ask.resource.clone(), until).await,
    };
    match fetched {
        Ok(()) => session
            .held(&ask.resource, now())
            .ok_or_else(|| Failure::new(ErrorCode::Internal, "the server sent no valid token")),
        Err(failure) => fallback().ok_or_else(|| with_hint(failure, session)),
    }
}

impl TokenAsk {
    /// Whether a token that ends soon is better than none.
    fn takes_less(&self) -> bool {
        !self.force && self.min_valid.is_none()
    }
}

/// One login a profile at a time: who asks for it again gets the same link. Another server is another profile.
fn join(session: Handle, server: &Server, resource: ResourceUrn) -> Result<Login, Failure> {
    let Purpose {
        profile,
        server: taken,
        ..
    } = session.purpose();
    if taken != server {
        let message = format!("profile '{profile}' is for {taken}");
        let hint = format!("ciba stop --profile {profile}, or take another name: --profile NAME");
        return Err(Failure::new(ErrorCode::BadRequest, message).hint(hint));
    }
    let state = session.follow();
    Ok(Login::new(session, state, resource))
}

fn is_active(session: &Handle) -> Result<(), Failure> {
    let phase = session.state().phase().clone();
    match phase {
        Phase::Active => Ok(()),
        Phase::Pending => Err(Failure::new(ErrorCode::NotLoggedIn, "a login is under way")
            .hint("finish it in the browser; ciba start shows the page again")),
        Phase::Failed(failure) => Err(login_required(&failure.message, session)),
        Phase::Ended => Err(login_required("the login was ended on the server", session)),
    }
}

fn login_required(message: &str, session: &Handle) -> Failure {
    with_hint(Failure::new(ErrorCode::LoginRequired, message), session)
}

fn with_hint(failure: Failure, session: &Handle) -> Failure {
    match failure.code {
        ErrorCode::LoginRequired | ErrorCode::NotLoggedIn => {
            let Purpose { profile, server, .. } = session.purpose();
            failure.hint(profile.login(&server.to_string()))
        }
        _ => failure,
    }
}

fn unknown(profile: &ProfileName, known: &BTreeMap<ProfileName, Handle>) -> Failure {
    if *profile == ProfileName::default() {
        return Failure::new(ErrorCode::NotLoggedIn, "nobody is logged in").hint(profile.login("<server>"));
    }
    let names: Vec<_> = known.keys().map(ProfileName::as_str).collect();
    let message = if names.is_empty() {
        format!("there is no profile '{profile}'")
    } else {
        format!("there is no profile '{profile}'; there is {}", names.join(", "))
    };
    Failure::new(ErrorCode::UnknownProfile, message).hint(profile.login("<server>"))
}

#[cfg(test)]
mod tests;

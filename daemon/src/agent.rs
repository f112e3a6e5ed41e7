//! The agent: who is logged in, and what a client may ask of it. Owns the sessions; answers from their tables.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use device_proto::ResourceUrn;
use futures_util::future::join_all;
use ipc_proto::{ErrorCode, Event, Failure, ProfileName, Status, Stopped};
use tokio::sync::broadcast;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::lifecycle::Shutdown;
use crate::memory;
use crate::server::Server;
use crate::session::{Handle, Phase, Purpose, now, slow};
pub(crate) use crate::session::{Login, Step};
use crate::table::Token;

/// Seconds a token must be valid when a client does not say.
const MIN_VALID: u64 = 60;

/// How long the server may take for a better token while a valid one is held. A network that swallows
/// everything looks alive for a minute.
const SPARE_TIME: Duration = Duration::from_secs(2);

/// Logins at once.
const MAX_SESSIONS: usize = 64;

/// Events that a slow watcher may be behind; then it is told that it missed some.
const EVENTS: usize = 256;

/// A handle to the agent; cheap to clone.
#[derive(Clone)]
pub(crate) struct Agent(Arc<Inner>);

struct Inner {
    sessions: Mutex<Sessions>,
    events: broadcast::Sender<Event>,
    tasks: TaskTracker,
    /// Cancelled when every session has to let go.
    closing: CancellationToken,
    shutdown: Shutdown,
}

#[derive(Default)]
struct Sessions {
    by_profile: BTreeMap<ProfileName, Handle>,
    /// One-shots so far: each has a name of its own.
    one_shots: u64,
}

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

impl Agent {
    /// Makes an agent with no session. The last one-shot takes the daemon along through `shutdown`.
    pub(crate) fn new(shutdown: Shutdown) -> Self {
        Self(Arc::new(Inner {
            sessions: Mutex::default(),
            events: broadcast::channel(EVENTS).0,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            shutdown,
        }))
    }

    /// Returns a token that is valid for at least `min_valid` seconds. From memory when it can.
    ///
    /// One that is valid for less is better than none: when the server cannot be asked, or is slow, it is served
    /// (D-051).
    pub(crate) async fn token(&self, ask: TokenAsk) -> Result<Arc<Token>, Failure> {
        let resource = urn(&ask.resource)?;
        let session = self.find(&ask.profile)?;
        let least = now().saturating_add(ask.min_valid.unwrap_or(MIN_VALID));
        let held = session.held(&resource, least);
        if let Some(token) = held.filter(|_| !ask.force) {
            return Ok(token);
        }
        is_active(&session)?;
        let until = match session.last_end(&resource) {
            Some(last_end) if ask.force => least.max(last_end),
            _ => least,
        };
        let may_be_older = !ask.force;
        let fetch = session.fetch(resource.clone(), until);
        let fetched = if may_be_older && session.held(&resource, now()).is_some() {
            timeout(SPARE_TIME, fetch).await.unwrap_or_else(|_| Err(slow()))
        } else {
            fetch.await
        };
        match (fetched, session.held(&resource, now())) {
            (Ok(()), Some(token)) => Ok(token),
            (Err(failure), Some(token)) if may_be_older && is_passing(&failure) => Ok(token),
            (Ok(()), None) => Err(Failure::new(
                ErrorCode::Internal,
                "the server sent no valid token",
            )),
            (Err(failure), _) => Err(with_hint(failure, &session)),
        }
    }

    /// Begins a login, or joins the one that is under way: one login a profile at a time.
    pub(crate) async fn start(&self, ask: StartAsk) -> Result<Login, Failure> {
        let resource = urn(&ask.resource)?;
        let server = Server::parse(&ask.url)
            .map_err(|problem| Failure::new(ErrorCode::BadRequest, problem.to_string()))?;
        let mut sessions = self.sessions();
        let profile = if ask.one_shot {
            sessions.one_shot_name()
        } else {
            ask.profile
        };
        match sessions.by_profile.get(&profile).cloned() {
            Some(session) if session.state().is_over() => self.replace(&mut sessions, &session),
            Some(session) => return join(session, &server, resource),
            None => {}
        }
        let purpose = Purpose {
            profile,
            server,
            resource,
            one_shot: ask.one_shot,
        };
        self.begin(&mut sessions, purpose)
    }

    pub(crate) fn status(&self, profile: Option<&ProfileName>) -> Result<Status, Failure> {
        let sessions = match profile {
            Some(profile) => vec![self.find(profile)?],
            None => self.sessions().by_profile.values().cloned().collect(),
        };
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            memory_locked: memory::all_locked(),
            keychain: None,
            profiles: sessions.iter().map(Handle::status).collect(),
        })
    }

    /// Ends sessions here and on the server. Here they end whatever the server says (D-052).
    pub(crate) async fn stop(&self, which: Which) -> Result<Stopped, Failure> {
        let sessions = match which {
            Which::One(profile) => vec![self.find(&profile)?],
            Which::All => self.sessions().by_profile.values().cloned().collect(),
        };
        let told = join_all(sessions.iter().map(Handle::end)).await;
        let name = |session: &Handle| session.purpose().profile.clone();
        for session in &sessions {
            self.forget(session);
        }
        let untold = sessions.iter().zip(told).filter(|(_, told)| !told);
        Ok(Stopped {
            server_not_told: untold.map(|(session, _)| name(session)).collect(),
            still_kept: Vec::new(),
            profiles: sessions.iter().map(name).collect(),
            daemon_leaves: self.sessions().by_profile.is_empty(),
        })
    }

    /// Returns every event from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// Lets every session go without ending it on the server, and wipes what is in memory.
    pub(crate) async fn close(&self) {
        self.0.closing.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.sessions().by_profile.clear();
    }

    fn begin(&self, sessions: &mut Sessions, purpose: Purpose) -> Result<Login, Failure> {
        if sessions.by_profile.len() >= MAX_SESSIONS {
            return Err(Failure::new(ErrorCode::Busy, "too many logins at once"));
        }
        let (profile, resource) = (purpose.profile.clone(), purpose.resource.clone());
        let (session, state, life) = Handle::begin(purpose, self.0.events.clone());
        sessions.by_profile.insert(profile, session.clone());
        self.spawn(session.clone(), life);
        Ok(Login::new(session, state, resource))
    }

    fn spawn(&self, session: Handle, life: impl Future<Output = ()> + Send + 'static) {
        let agent = self.clone();
        self.0.tasks.spawn(async move {
            tokio::select! {
                () = life => agent.forget(&session),
                () = agent.0.closing.cancelled() => {}
            }
        });
    }

    /// Makes room for a new login where an old one yields nothing more.
    fn replace(&self, sessions: &mut Sessions, old: &Handle) {
        sessions.by_profile.remove(&old.purpose().profile);
        let old = old.clone();
        self.0.tasks.spawn(async move {
            // It has failed or ended: the server need not hear of it.
            let _ = old.end().await;
        });
    }

    /// Takes a session off the list. The last one-shot leaves nothing behind, not even the daemon.
    fn forget(&self, session: &Handle) {
        let mut sessions = self.sessions();
        let profile = &session.purpose().profile;
        let is_listed = sessions
            .by_profile
            .get(profile)
            .is_some_and(|listed| listed.is(session));
        if is_listed {
            sessions.by_profile.remove(profile);
        }
        if session.purpose().one_shot && sessions.by_profile.is_empty() {
            self.0.shutdown.begin();
        }
    }

    fn find(&self, profile: &ProfileName) -> Result<Handle, Failure> {
        let sessions = self.sessions();
        let found = sessions.by_profile.get(profile).cloned();
        found.ok_or_else(|| unknown(profile, &sessions.by_profile))
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        // A map of whole entries is whole after any panic.
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
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

fn urn(resource: &str) -> Result<ResourceUrn, Failure> {
    resource
        .parse()
        .map_err(|problem| Failure::new(ErrorCode::BadRequest, format!("{problem}")))
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
            failure.hint(format!("ciba start --url {}", session.purpose().server))
        }
        _ => failure,
    }
}

/// Whether the same question may have another answer later.
fn is_passing(failure: &Failure) -> bool {
    matches!(
        failure.code,
        ErrorCode::ServerUnreachable | ErrorCode::Timeout | ErrorCode::Busy
    )
}

fn unknown(profile: &ProfileName, known: &BTreeMap<ProfileName, Handle>) -> Failure {
    if *profile == ProfileName::default() {
        return Failure::new(ErrorCode::NotLoggedIn, "nobody is logged in").hint("ciba start --url <server>");
    }
    let names: Vec<_> = known.keys().map(ProfileName::as_str).collect();
    let message = if names.is_empty() {
        format!("there is no profile '{profile}'")
    } else {
        format!("there is no profile '{profile}'; there is {}", names.join(", "))
    };
    let hint = format!("ciba start --profile {profile} --url <server>");
    Failure::new(ErrorCode::UnknownProfile, message).hint(hint)
}

#[cfg(test)]
mod tests;

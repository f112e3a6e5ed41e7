//! From the arguments to a daemon that serves, and back to nothing: claims the socket, answers until told to
//! leave, and leaves in order or hands over to another program.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use zeroize::Zeroizing;

use crate::agent::Agent;
use crate::audit::Audit;
use crate::config::Settings;
use crate::handover::{self, HandOver, HandOverError, HandedOver, Program};
use crate::harden::Gap;
use crate::ipc::{self, Context};
use crate::keychain::Keychains;
use crate::lifecycle::{Reload, Shutdown, Signals};
use crate::listen::Listening;
use crate::log::{Log, Sink};
use crate::notify::notify;
use crate::origin::{Claimed, Origin};
use crate::service;
use crate::start::{self, Word};
use crate::tls;

/// How long clients may take to hear that we leave; one that does not read gets no more.
const CLIENTS_GRACE: Duration = Duration::from_secs(1);

/// How long the sessions may take to let go.
const SESSIONS_GRACE: Duration = Duration::from_secs(2);

/// How this process was started.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// To start the daemon in a process of its own.
    Detach,
    /// As that process.
    Detached,
    /// As the daemon, under the eyes of a person or a service manager.
    Foreground,
    /// By an older cibad, which this process ran before.
    TakeOver {
        /// Whether that one was under such eyes.
        in_foreground: bool,
    },
}

impl Start {
    fn is_in_foreground(self) -> bool {
        matches!(self, Self::Foreground | Self::TakeOver { in_foreground: true })
    }

    /// Returns what makes the next program log where this one does.
    fn arguments(self) -> &'static [&'static str] {
        if self.is_in_foreground() {
            &["--foreground"]
        } else {
            &["--detached"]
        }
    }

    /// Tells the process that waits for this one how it went, if there is one.
    fn report(self, word: &Word) -> io::Result<()> {
        match self {
            Self::Detached => start::report(word),
            Self::Detach | Self::Foreground | Self::TakeOver { .. } => Ok(()),
        }
    }
}

/// Does what this process was started for; returns when that is over.
pub(crate) fn run(start: Start, gaps: &[Gap]) -> anyhow::Result<()> {
    let uid = rustix::process::geteuid().as_raw();
    let served = match start {
        Start::Detach => return start::detach(),
        Start::TakeOver { .. } => Origin::handed_over(),
        Start::Detached | Start::Foreground => Origin::of_new_process(uid),
    }
    .and_then(|origin| daemon(start, uid, origin, gaps));
    if let Err(error) = &served {
        start.report(&Word::Failed(format!("{error:#}")))?;
    }
    served
}

fn daemon(start: Start, uid: u32, origin: Origin, gaps: &[Gap]) -> anyhow::Result<()> {
    if let Start::Detached = start {
        start::leave_caller().context("cannot detach")?;
    }
    let settings = Settings::read(ipc_proto::configuration_file(|name| std::env::var_os(name)), uid);
    let daemon = Daemon {
        start,
        uid,
        log: Log::start(Sink::of_process(start.is_in_foreground()), settings.log()),
        settings,
        audit: Audit::start(ipc_proto::audit_file(|name| std::env::var_os(name))),
        program: Program::running().context("cannot find the cibad program")?,
    };
    tls::install();
    for Gap { measure, cause } in gaps {
        warn!(measure, %cause, "the process could not be hardened");
    }
    daemon.settings.report();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(daemon.live(origin));
    daemon.audit.finish();
    // A name lookup may still block a thread; its answer is of no use any more.
    runtime.shutdown_background();
    if let Err(error) = &served {
        error!(reason = format!("{error:#}"), "cannot serve");
    }
    served
}

/// What stays the same when another program was to take over and could not.
struct Daemon {
    start: Start,
    uid: u32,
    log: Log,
    settings: Settings,
    audit: Audit,
    program: Program,
}

/// Why the daemon does not serve any more.
enum End {
    Leave,
    HandOver(HandOver),
}

impl Daemon {
    /// Serves until the end, which after a hand-over that failed is not yet there.
    async fn live(&self, mut origin: Origin) -> anyhow::Result<()> {
        while let End::HandOver(hand_over) = self.serve(origin).await? {
            self.audit.finish();
            not_handed_over(&self.program.replace(self.start.arguments(), &hand_over));
            // The next program would have read it.
            self.read_settings().await;
            origin = Origin::HandOver(hand_over);
        }
        Ok(())
    }

    async fn serve(&self, origin: Origin) -> anyhow::Result<End> {
        // First of all: until then a signal ends the process, and with it what was handed over.
        let signals = Signals::install().context("cannot listen to signals")?;
        let Some(Claimed { listening, sessions }) = origin.claim(self.uid).await? else {
            self.start.report(&Word::Already)?;
            return Ok(End::Leave);
        };
        let (shutdown, reload) = (Shutdown::default(), Reload::default());
        let agent = Agent::new(
            shutdown.clone(),
            Keychains::of_this_system(),
            self.settings.clone(),
        );
        let events = agent.watch();
        resume(&agent, sessions);
        self.announce(listening.socket())?;
        let context = Context::new(
            agent.clone(),
            shutdown.clone(),
            self.settings.clone(),
            self.audit.clone(),
            self.log.place(),
        );
        tokio::select! {
            end = self.answer_clients(listening, context, &reload) => end,
            never = signals.relay(&shutdown, || self.look_again(&shutdown, &reload)) => match never {},
            never = service::watch_dog() => match never {},
            never = self.follow(reload.subscribe()) => match never {},
            never = notify(events, &agent, &self.settings) => match never {},
            () = shutdown.forced() => {
                warn!("left at once");
                Ok(End::Leave)
            }
        }
    }

    /// Tells the process and the service manager that wait for it.
    fn announce(&self, socket: &Path) -> io::Result<()> {
        self.start.report(&Word::Serving)?;
        service::serving(socket);
        info!(
            pid = std::process::id(),
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );
        Ok(())
    }

    /// Reads the configuration again at each reload, for ever, and tells the service manager when that is done.
    async fn follow(&self, mut reload: watch::Receiver<()>) -> Infallible {
        while reload.changed().await.is_ok() {
            info!("reloading");
            service::reloading();
            self.read_settings().await;
            service::reloaded();
        }
        pending().await
    }

    async fn read_settings(&self) {
        self.settings.read_again().await;
        self.log.set_level(self.settings.log());
        self.settings.report();
    }

    /// A hangup: another program was installed, or only the configuration has changed.
    fn look_again(&self, shutdown: &Shutdown, reload: &Reload) {
        if self.program.is_replaced() {
            return shutdown.hand_over_soon();
        }
        reload.announce();
    }

    /// Answers clients until the shutdown begins or another program is ready, then lets everything go.
    async fn answer_clients(
        &self,
        listening: Listening,
        context: Context,
        reload: &Reload,
    ) -> anyhow::Result<End> {
        let connections = TaskTracker::new();
        let successor = tokio::select! {
            () = ipc::accept(listening.listener(), self.uid, &context, &connections) => None,
            sessions = self.successor(&context, reload) => Some(sessions),
        };
        connections.close();
        match successor {
            None => Ok(leave(listening, &context.agent, &connections).await),
            Some(sessions) => hand_over(listening, &context, &connections, sessions).await,
        }
    }

    /// Waits until another program is asked for and can take over; returns the sessions for it. When it cannot,
    /// this one does in its place what asking was for as well: it reads the configuration.
    async fn successor(&self, context: &Context, reload: &Reload) -> OwnedFd {
        loop {
            let ask = context.shutdown.hand_over_asked().await;
            // Whatever fails here has cost nothing yet.
            match self.prepared(&context.agent).await {
                Ok(sessions) => {
                    ask.answer(Ok(()));
                    return sessions;
                }
                Err(error) => {
                    not_handed_over(&error);
                    ask.answer(Err(error));
                    reload.announce();
                }
            }
        }
    }

    async fn prepared(&self, agent: &Agent) -> Result<OwnedFd, HandOverError> {
        self.program.try_out().await?;
        pack(agent).await
    }
}

async fn leave(listening: Listening, agent: &Agent, connections: &TaskTracker) -> End {
    info!("leaving");
    service::leaving();
    // From here on no client finds us, and no other daemon may start until we have let go.
    let _held_to_the_end = listening.close();
    in_time("clients", CLIENTS_GRACE, connections.wait()).await;
    in_time("sessions", SESSIONS_GRACE, agent.close()).await;
    info!("left in order");
    End::Leave
}

/// Lets everything go but the socket: who connects from here on waits for the next program.
async fn hand_over(
    listening: Listening,
    context: &Context,
    connections: &TaskTracker,
    sessions: OwnedFd,
) -> anyhow::Result<End> {
    info!("handing over");
    service::reloading();
    // What was asked before is still answered, unless it takes long; a `watch` never ends by itself.
    let _ = tokio::time::timeout(CLIENTS_GRACE, connections.wait()).await;
    context.shutdown.begin();
    in_time("clients", CLIENTS_GRACE, connections.wait()).await;
    // As they are by now.
    let sessions = pack(&context.agent).await.unwrap_or(sessions);
    in_time("sessions", SESSIONS_GRACE, context.agent.close()).await;
    let listening = listening.into_fds().context("the socket cannot be kept")?;
    Ok(End::HandOver(HandOver { listening, sessions }))
}

/// Logs why this program goes on.
fn not_handed_over(error: &HandOverError) {
    warn!(reason = %error, "not handed over");
}

async fn pack(agent: &Agent) -> Result<OwnedFd, HandOverError> {
    let sessions = agent.save().await?;
    handover::pack(sessions.iter().map(|item| item.as_slice()))
}

/// Goes on with what was handed over. Each text is wiped when it was read.
fn resume(agent: &Agent, sessions: Vec<Zeroizing<Vec<u8>>>) {
    for session in sessions {
        match HandedOver::decode(&session) {
            Ok(login) => agent.resume(login),
            Err(_) => warn!("a session that was handed over cannot be read"),
        }
    }
}

async fn in_time(what: &str, grace: Duration, finish: impl Future<Output = ()>) {
    if tokio::time::timeout(grace, finish).await.is_err() {
        warn!(what, "not finished in time");
    }
}

//! From the arguments to a daemon that serves, and back to nothing: takes the socket, answers until told to
//! leave, and leaves in order or hands over to another program.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rustix::fs::{FileType, Stat, fstat, stat};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use zeroize::Zeroizing;

use crate::agent::Agent;
use crate::config::Settings;
use crate::handover::{self, HandOver, HandOverError, Program};
use crate::harden::Gap;
use crate::incumbent;
use crate::ipc::{self, Context};
use crate::keychain::{Item, Keychains};
use crate::lifecycle::{Reload, Shutdown, Signals};
use crate::listen::{self, Claim, Listening};
use crate::log::{Log, Sink};
use crate::notify::notify;
use crate::service;
use crate::start::{self, Word};
use crate::tls;

/// How long clients may take to hear that we leave; one that does not read gets no more.
const CLIENTS_GRACE: Duration = Duration::from_secs(1);

/// How long the sessions may take to let go.
const SESSIONS_GRACE: Duration = Duration::from_secs(2);

/// How this process was started.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Starts the daemon in a process of its own.
    Detach,
    /// That process.
    Detached,
    /// The daemon, under the eyes of a person or a service manager.
    Foreground,
}

/// Where the daemon's socket comes from.
enum Origin {
    /// It is bound here, at this path, unless somebody serves there.
    Path(PathBuf),
    /// A service manager listens already.
    Manager(UnixListener),
    /// The program that this process was before has served on it.
    HandOver(HandOver),
}

/// Why the daemon does not serve any more.
enum End {
    Leave,
    HandOver(HandOver),
}

/// Does what the mode says; returns when that is over. A daemon that `takes_over` was another program before,
/// in the same mode.
pub(crate) fn run(mode: Mode, takes_over: bool, gaps: &[Gap]) -> anyhow::Result<()> {
    let say = |word: Word| match mode {
        Mode::Detached if !takes_over => start::report(&word),
        _ => Ok(()),
    };
    let result = match mode {
        Mode::Detach => return start::detach(),
        Mode::Detached | Mode::Foreground => daemon(mode, takes_over, gaps, say),
    };
    if let Err(error) = &result {
        say(Word::Failed(format!("{error:#}")))?;
    }
    result
}

fn daemon(
    mode: Mode,
    takes_over: bool,
    gaps: &[Gap],
    say: impl Fn(Word) -> io::Result<()>,
) -> anyhow::Result<()> {
    let uid = rustix::process::geteuid().as_raw();
    let origin = origin(uid, takes_over)?;
    if mode == Mode::Detached && !takes_over {
        start::leave_caller().context("cannot detach")?;
    }
    let settings = Settings::read(ipc_proto::configuration_file(|name| std::env::var_os(name)), uid);
    let log = Log::start(sink(mode), settings.log());
    tls::install();
    for Gap { measure, cause } in gaps {
        warn!(measure, %cause, "the process could not be hardened");
    }
    settings.report();
    let daemon = Daemon {
        uid,
        mode,
        program: Program::running().context("cannot find the cibad program")?,
        settings,
        log,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(daemon.live(origin, say));
    // A name lookup may still block a thread; nobody waits for it any more.
    runtime.shutdown_background();
    if let Err(error) = &result {
        error!(reason = format!("{error:#}"), "cannot serve");
    }
    result
}

fn sink(mode: Mode) -> Sink {
    match mode {
        Mode::Foreground if !is_thrown_away(rustix::stdio::stderr()) => Sink::Stderr,
        // launchd reads nothing, and would keep every line for ever.
        _ => Sink::StateDirectory,
    }
}

/// Whether nobody ever reads what is written there.
fn is_thrown_away(output: BorrowedFd<'_>) -> bool {
    let device = |file: Stat| (FileType::from_raw_mode(file.st_mode), file.st_rdev);
    match (fstat(output), stat("/dev/null")) {
        (Ok(output), Ok(null)) => device(output) == device(null),
        _ => false,
    }
}

fn origin(uid: u32, takes_over: bool) -> anyhow::Result<Origin> {
    if takes_over {
        let hand_over = handover::inherit().context("nothing was handed over")?;
        return Ok(Origin::HandOver(hand_over));
    }
    let given = service::socket().context("the service manager's socket is not usable")?;
    given.map_or_else(
        || socket(uid).map(Origin::Path),
        |socket| Ok(Origin::Manager(socket)),
    )
}

fn socket(uid: u32) -> anyhow::Result<PathBuf> {
    Ok(ipc_proto::socket_path(
        uid,
        |name| std::env::var_os(name),
        Path::is_dir,
    )?)
}

/// What stays the same when another program was to take over and could not.
struct Daemon {
    uid: u32,
    mode: Mode,
    program: Program,
    settings: Settings,
    log: Log,
}

impl Daemon {
    /// Serves until the end, which after a hand-over that failed is not yet there.
    async fn live(&self, mut origin: Origin, say: impl Fn(Word) -> io::Result<()>) -> anyhow::Result<()> {
        while let End::HandOver(hand_over) = self.serve(origin, &say).await? {
            not_handed_over(&self.program.replace(self.arguments(), &hand_over));
            // The next program would have read it.
            self.read_settings().await;
            origin = Origin::HandOver(hand_over);
        }
        Ok(())
    }

    /// Returns what makes the next program log where this one does.
    fn arguments(&self) -> &'static [&'static str] {
        match self.mode {
            Mode::Detach | Mode::Detached => &["--detached"],
            Mode::Foreground => &["--foreground"],
        }
    }

    async fn serve(&self, origin: Origin, say: impl Fn(Word) -> io::Result<()>) -> anyhow::Result<End> {
        // First of all: until then a signal ends the process, and with it what was handed over.
        let signals = Signals::install().context("cannot listen to signals")?;
        let Some((listening, sessions)) = settle(origin, self.uid).await? else {
            say(Word::Already)?;
            return Ok(End::Leave);
        };
        let shutdown = Shutdown::default();
        let context = Context {
            agent: Agent::new(
                shutdown.clone(),
                Keychains::of_this_system(),
                self.settings.clone(),
            ),
            shutdown: shutdown.clone(),
            log_place: self.log.place(),
        };
        let (agent, events) = (context.agent.clone(), context.agent.watch());
        resume(&context.agent, sessions);
        let reload = Reload::default();
        say(Word::Serving)?;
        service::serving(listening.socket());
        info!(
            pid = std::process::id(),
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );
        let settings = self.follow(reload.subscribe());
        let look_again = || self.look_again(&shutdown, &reload);
        tokio::select! {
            end = self.attend(listening, context, &reload) => end,
            never = signals.relay(&shutdown, look_again) => match never {},
            never = service::watch_dog() => match never {},
            never = settings => match never {},
            never = notify(events, &agent, &self.settings) => match never {},
            () = shutdown.forced() => {
                warn!("left at once");
                Ok(End::Leave)
            }
        }
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
    async fn attend(&self, listening: Listening, context: Context, reload: &Reload) -> anyhow::Result<End> {
        let connections = TaskTracker::new();
        let successor = tokio::select! {
            () = ipc::accept(listening.listener(), self.uid, &context, &connections) => None,
            sessions = self.successor(&context, reload) => Some(sessions),
        };
        connections.close();
        match successor {
            None => leave(listening, &context.agent, &connections).await,
            Some(sessions) => make_way(listening, &context, &connections, sessions).await,
        }
    }

    async fn prepared(&self, agent: &Agent) -> Result<OwnedFd, HandOverError> {
        self.program.try_out().await?;
        pack(agent).await
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
}

/// Returns the place to serve from, and what the last program has left; `None` when another daemon serves.
async fn settle(origin: Origin, uid: u32) -> anyhow::Result<Option<(Listening, Vec<Zeroizing<Vec<u8>>>)>> {
    let listening = match origin {
        Origin::HandOver(hand_over) => {
            let sessions = handover::unpack(hand_over.sessions).context("the sessions cannot be read")?;
            info!(sessions = sessions.len(), "taken over");
            return Ok(Some((Listening::from_fds(hand_over.listening)?, sessions)));
        }
        Origin::Manager(listener) => listen::adopt(listener, uid).await?,
        Origin::Path(socket) => match listen::claim(&socket, uid).await? {
            Claim::Ours(listening) => listening,
            Claim::Taken(incumbent) => {
                info!("another cibad serves already");
                if incumbent.is_other_version() {
                    incumbent::ask_to_hand_over(&socket).await;
                }
                return Ok(None);
            }
        },
    };
    Ok(Some((listening, Vec::new())))
}

async fn leave(listening: Listening, agent: &Agent, connections: &TaskTracker) -> anyhow::Result<End> {
    info!("leaving");
    service::leaving();
    // From here on no client finds us, and no other daemon may start until we have let go.
    let _held_to_the_end = listening.close();
    in_time("clients", CLIENTS_GRACE, connections.wait()).await;
    in_time("sessions", SESSIONS_GRACE, agent.close()).await;
    info!("left in order");
    Ok(End::Leave)
}

/// Lets everything go but the socket: who connects from here on waits for the next program.
async fn make_way(
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
        match Item::decode(&session) {
            Ok(item) => agent.resume(item),
            Err(_) => warn!("a session that was handed over cannot be read"),
        }
    }
}

async fn in_time(what: &str, grace: Duration, finish: impl Future<Output = ()>) {
    if tokio::time::timeout(grace, finish).await.is_err() {
        warn!(what, "not finished in time");
    }
}

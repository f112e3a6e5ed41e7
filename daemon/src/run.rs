//! From the arguments to a daemon that serves, and back to nothing: takes the socket, answers until told to
//! leave, and leaves in order.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::agent::Agent;
use crate::harden::Gap;
use crate::ipc::{self, Context};
use crate::lifecycle::{Shutdown, Signals};
use crate::listen::{self, Claim, Seat};
use crate::log::{self, Sink};
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

/// Does what the mode says; returns when that is over.
pub(crate) fn run(mode: Mode, gaps: &[Gap]) -> anyhow::Result<()> {
    match mode {
        Mode::Detach => start::detach(),
        Mode::Foreground => daemon(Sink::Stderr, gaps, |_| Ok(())),
        Mode::Detached => {
            let result = daemon(Sink::StateDirectory, gaps, |word| start::report(&word));
            if let Err(error) = &result {
                start::report(&Word::Failed(format!("{error:#}")))?;
            }
            result
        }
    }
}

fn daemon(sink: Sink, gaps: &[Gap], say: impl Fn(Word) -> std::io::Result<()>) -> anyhow::Result<()> {
    let uid = rustix::process::geteuid().as_raw();
    let socket = socket(uid)?;
    if let Sink::StateDirectory = sink {
        start::leave_caller().context("cannot detach")?;
    }
    let _written_on_drop = log::start(sink);
    tls::install();
    for Gap { measure, cause } in gaps {
        warn!(measure, %cause, "the process could not be hardened");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(serve(&socket, uid, say));
    // A name lookup may still block a thread; nobody waits for it any more.
    runtime.shutdown_background();
    result
}

fn socket(uid: u32) -> anyhow::Result<PathBuf> {
    let path = ipc_proto::socket_path(uid, |name| std::env::var_os(name), Path::is_dir);
    ensure!(
        path.is_absolute(),
        "{} is not an absolute path; CIBA_SOCKET needs one",
        path.display()
    );
    Ok(path)
}

async fn serve(socket: &Path, uid: u32, say: impl Fn(Word) -> std::io::Result<()>) -> anyhow::Result<()> {
    let seat = match listen::claim(socket, uid).await? {
        Claim::Ours(seat) => seat,
        Claim::Taken => {
            info!("another cibad serves already");
            return Ok(say(Word::Already)?);
        }
    };
    let signals = Signals::install().context("cannot listen to signals")?;
    let shutdown = Shutdown::default();
    let context = Context {
        agent: Agent::new(shutdown.clone()),
        shutdown: shutdown.clone(),
    };
    say(Word::Serving)?;
    info!(
        pid = std::process::id(),
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    tokio::select! {
        () = attend(seat, uid, context) => info!("left in order"),
        () = signals.relay(shutdown.clone()) => {}
        () = shutdown.forced() => warn!("left at once"),
    }
    Ok(())
}

/// Answers clients until the shutdown begins, then lets everything go.
async fn attend(seat: Seat, uid: u32, context: Context) {
    let connections = TaskTracker::new();
    ipc::accept(seat.listener(), uid, &context, &connections).await;
    info!("leaving");
    // From here on no client finds us, and no other daemon may start until we have let go.
    let _held_to_the_end = seat.close();
    connections.close();
    let agent = context.agent;
    in_time("clients", CLIENTS_GRACE, connections.wait()).await;
    in_time("sessions", SESSIONS_GRACE, agent.close()).await;
}

async fn in_time(what: &str, grace: Duration, finish: impl Future<Output = ()>) {
    if tokio::time::timeout(grace, finish).await.is_err() {
        warn!(what, "not finished in time");
    }
}

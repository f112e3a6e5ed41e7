//! The daemon's log: a daily file in the state directory, or stderr in the foreground, unless that is /dev/null.
//! Nothing a client or a server sent is ever quoted in it.

use std::env;
use std::fs::DirBuilder;
use std::io::IsTerminal as _;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::{io, panic};

use rustix::fs::{FileType, Stat, fstat, stat};
use tracing::level_filters::{LevelFilter, ParseLevelFilterError};
use tracing::{Subscriber, warn};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::service;

/// Days of log that are kept.
const KEPT_FILES: usize = 7;

/// Log lines that may wait for the disk; more are dropped, since a full disk must not stop a token.
const WAITING_LINES: usize = 1024;

/// Where the log goes.
#[derive(Clone, Copy)]
pub(crate) enum Sink {
    Stderr,
    StateDirectory,
}

impl Sink {
    /// Returns the one for this process: a person or a service manager may read the stderr of one in the foreground.
    pub(crate) fn of_process(is_in_foreground: bool) -> Self {
        if is_in_foreground && !is_thrown_away(rustix::stdio::stderr()) {
            Self::Stderr
        } else {
            // launchd reads nothing, and would keep every line for ever.
            Self::StateDirectory
        }
    }
}

/// Whether what is written there is lost.
fn is_thrown_away(output: BorrowedFd<'_>) -> bool {
    let device = |file: Stat| (FileType::from_raw_mode(file.st_mode), file.st_rdev);
    match (fstat(output), stat("/dev/null")) {
        (Ok(output), Ok(null)) => device(output) == device(null),
        _ => false,
    }
}

/// The log of this process. Keep it to the end of `main`: dropping it writes out what still waits.
pub(crate) struct Log {
    place: Option<Arc<str>>,
    levels: reload::Handle<Targets, Registry>,
    _written_on_drop: Option<WorkerGuard>,
}

impl Log {
    /// Starts logging from that level on.
    pub(crate) fn start(sink: Sink, level: LevelFilter) -> Self {
        let (filter, handle) = reload::Layer::new(levels(level));
        let registry = tracing_subscriber::registry().with(filter);
        let (place, guard) = match sink {
            Sink::Stderr => {
                registry.with(stderr()).init();
                (Some(stderr_place()), None)
            }
            Sink::StateDirectory => file().map_or((None, None), |(place, file, guard)| {
                let layer = fmt::layer().with_ansi(false).with_writer(file);
                registry.with(layer).init();
                (Some(place), Some(guard))
            }),
        };
        panic::set_hook(Box::new(log_panic));
        if let Some(Err(_)) = wanted() {
            warn!("CIBA_LOG is no level; {level} holds");
        }
        Self {
            place,
            levels: handle,
            _written_on_drop: guard,
        }
    }

    /// Returns where the log goes, for people; `None` when nothing can be written.
    pub(crate) fn place(&self) -> Option<Arc<str>> {
        self.place.clone()
    }

    /// Logs from that level on from now on.
    pub(crate) fn set_level(&self, level: LevelFilter) {
        // The filter is gone only when nothing is logged at all.
        let _ = self.levels.reload(levels(level));
    }
}

fn stderr_place() -> Arc<str> {
    let is_journal = service::writes_log();
    if is_journal {
        "the journal"
    } else {
        "standard error"
    }
    .into()
}

/// The journal adds the time of each line by itself.
fn stderr<S: Subscriber + for<'a> LookupSpan<'a>>() -> Box<dyn Layer<S> + Send + Sync> {
    let layer = fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    if service::writes_log() {
        layer.without_time().boxed()
    } else {
        layer.boxed()
    }
}

/// The level, or `CIBA_LOG` in its place, is for our own lines. Libraries stay at warnings: on their lower levels some
/// write out what passes through them.
fn levels(level: LevelFilter) -> Targets {
    let ours = wanted().and_then(Result::ok).unwrap_or(level);
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("cibad", ours)
}

/// Returns the level that `CIBA_LOG` says, if it says anything.
fn wanted() -> Option<Result<LevelFilter, ParseLevelFilterError>> {
    let word = env::var_os("CIBA_LOG").filter(|word| !word.is_empty())?;
    Some(word.to_string_lossy().parse())
}

/// Opens today's file. `None` where there is no home or it cannot be written: a daemon without a log is
/// better than none.
fn file() -> Option<(Arc<str>, NonBlocking, WorkerGuard)> {
    let directory = ipc_proto::state_directory(|name| env::var_os(name))?;
    let place = directory.display().to_string().into();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .ok()?;
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("cibad")
        .filename_suffix("log")
        .max_log_files(KEPT_FILES)
        .build(directory)
        .ok()?;
    let (file, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(file);
    Some((place, file, guard))
}

/// Logs where, never what: a panic's message may quote the value that caused it.
fn log_panic(info: &panic::PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a fault of ours");
}

//! Starts `cibad` when a command needs it and finds none. The daemon detaches by itself: the process started
//! here ends with 0 once a daemon serves, or with the reason on its standard error.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::environment;
use crate::error::Error;

/// How long a daemon may take until it serves. Longer than the 10 s it gives itself: it knows the reason.
const DEADLINE: Duration = Duration::from_secs(12);

/// How often to look whether the process has ended. Its standard error does not tell while another process, which
/// has inherited it, holds it open.
const GLANCE: Duration = Duration::from_millis(100);

/// Bytes of the reason that are shown.
const MAX_REASON: usize = 4 * 1024;

/// Starts the daemon and returns when it serves.
pub(crate) fn daemon() -> Result<(), Error> {
    let program = program();
    let (reason, theirs) = UnixStream::pair().map_err(|error| failed(&error.to_string()))?;
    let mut child = Command::new(&program)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(OwnedFd::from(theirs))
        .spawn()
        .map_err(|error| not_run(&program.to_string_lossy(), &error))?;
    let mut said = Vec::new();
    match wait(&mut child, reason, &mut said) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(failed(&summary(&said, status))),
        Ok(None) => Err(Error::timeout(format!(
            "cibad did not serve within {} s",
            DEADLINE.as_secs()
        ))),
        Err(error) => Err(failed(&error.to_string())),
    }
}

/// Returns what to run: `CIBA_DAEMON`, the `cibad` beside this program, or the one in `PATH`.
fn program() -> OsString {
    environment::variable("CIBA_DAEMON")
        .or_else(|| sibling().map(PathBuf::into_os_string))
        .unwrap_or_else(|| "cibad".into())
}

/// Looks beside the name by which this program was started, and then beside the file that it leads to: by that name a
/// service and a running daemon find the next version.
fn sibling() -> Option<PathBuf> {
    let actual = std::env::current_exe().ok()?;
    let names = [started_as(&actual), Some(actual)];
    let mut beside = names
        .into_iter()
        .flatten()
        .map(|ciba| ciba.with_file_name("cibad"));
    beside.find(|cibad| cibad.is_file())
}

/// Returns where this program lies, by the name by which it was started: that name stays when it is installed anew.
pub(crate) fn this() -> Option<PathBuf> {
    let actual = std::env::current_exe().ok()?;
    started_as(&actual).or(Some(actual))
}

fn started_as(actual: &Path) -> Option<PathBuf> {
    let file = |path: &Path| path.metadata().map(|seen| (seen.dev(), seen.ino())).ok();
    let program = file(actual)?;
    let name = std::env::args_os().next()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = ipc_proto::started_as(&name, &path, |path| file(path) == Some(program))?;
    std::path::absolute(found).ok()
}

/// The daemon as it is installed.
pub(crate) struct Installed {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// What it calls its version.
    pub(crate) version: String,
}

/// Looks at the daemon that would be started, and asks it for its version.
pub(crate) fn installed() -> Result<Installed, Error> {
    let program = program();
    let unread = |error: &io::Error| failed(&error.to_string());
    let (output, theirs) = UnixStream::pair().map_err(|error| unread(&error))?;
    let mut child = Command::new(&program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(OwnedFd::from(theirs))
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| not_run(&program.to_string_lossy(), &error))?;
    let mut said = Vec::new();
    let status = wait(&mut child, output, &mut said).map_err(|error| unread(&error))?;
    let text = String::from_utf8_lossy(&said);
    match text.trim().strip_prefix("cibad ") {
        Some(version) if status.is_some_and(|status| status.success()) => Ok(Installed {
            path: in_path(&program),
            version: version.into(),
        }),
        _ => Err(Error::internal(format!(
            "{} is not cibad, or does not work here",
            in_path(&program).display()
        ))),
    }
}

/// Returns where the system finds a program.
fn in_path(program: &OsStr) -> PathBuf {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&directories)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| program.into())
}

/// Collects what the child says until it ends; `None` when it takes too long, and then it is ended.
fn wait(child: &mut Child, mut reason: UnixStream, said: &mut Vec<u8>) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + DEADLINE;
    reason.set_read_timeout(Some(GLANCE))?;
    let mut piece = [0; 512];
    loop {
        match reason.read(&mut piece) {
            Ok(0) => return child.wait().map(Some),
            Ok(count) => said.extend(piece[..count].iter().take(MAX_REASON - said.len())),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                if let Some(status) = child.try_wait()? {
                    return Ok(Some(status));
                }
            }
            Err(error) => return Err(error),
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
    }
}

/// Returns what the child said, in one line and without its own name in front.
fn summary(said: &[u8], status: ExitStatus) -> String {
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.trim().trim_start_matches("cibad: "))
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        status.to_string()
    } else {
        lines.join("; ")
    }
}

fn failed(reason: &str) -> Error {
    Error::internal(format!("cibad did not start: {reason}"))
}

fn not_run(program: &str, error: &io::Error) -> Error {
    let failed = failed(&format!("{program}: {error}"));
    match error.kind() {
        ErrorKind::NotFound => failed.hint("install cibad beside ciba or in PATH"),
        _ => failed,
    }
}

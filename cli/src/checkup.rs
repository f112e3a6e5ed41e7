//! What `ciba doctor` looks at, in the order in which one thing needs the other: the socket, the program that
//! would be started, the daemon behind the socket, and at last what the daemon alone can see.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::time::Duration;

use ipc_proto::{Check, Diagnosis, Hello, Op};

use crate::ask;
use crate::connection::{self, Connection};
use crate::error::Error;
use crate::launch::{self, Installed};

/// How long the daemon may take to say its version.
const PROMPTLY: Duration = Duration::from_secs(5);

/// How long it may take for the rest: it asks keychains and servers, each with a deadline of its own.
const PATIENCE: Duration = Duration::from_secs(60);

/// The permissions of the socket (I-001).
const SOCKET_MODE: u32 = 0o600;

/// The version that this client belongs to.
const OURS: &str = env!("CARGO_PKG_VERSION");

/// Looks at everything. Starts no daemon.
pub(crate) fn run() -> Vec<Check> {
    let installed = launch::installed();
    let version = installed.as_ref().ok().map(|program| program.version.clone());
    let connected = Connection::connect();
    let mut checks = vec![socket(&connected), program(installed)];
    match connected {
        Ok(Some(connection)) => {
            drop(connection);
            checks.extend(running(version.as_deref()));
        }
        Ok(None) => checks.push(not_running()),
        Err(_) => {}
    }
    checks
}

fn socket(connected: &Result<Option<Connection>, Error>) -> Check {
    let path = match connection::socket() {
        Ok(path) => path,
        Err(error) => return failed("socket", &error),
    };
    let shown = path.display();
    match connected {
        Err(error) => failed("socket", error),
        Ok(None) => Check::ok("socket", format!("{shown}, nobody listens")),
        Ok(Some(_)) if is_open(&path) => Check::warning(
            "socket",
            format!("{shown} is open to others; only its directory keeps them out"),
        )
        .hint(format!("chmod 600 {shown}")),
        Ok(Some(_)) => Check::ok("socket", shown.to_string()),
    }
}

fn is_open(socket: &Path) -> bool {
    socket
        .symlink_metadata()
        .is_ok_and(|seen| seen.file_type().is_socket() && seen.mode() & 0o777 != SOCKET_MODE)
}

/// The `cibad` that a command would start.
fn program(installed: Result<Installed, Error>) -> Check {
    let Installed { path, version } = match installed {
        Ok(installed) => installed,
        Err(error) => return failed("program", &error),
    };
    let message = format!("cibad {version}, {}", path.display());
    if version == OURS {
        return Check::ok("program", message);
    }
    Check::warning("program", format!("{message}; this is ciba {OURS}"))
        .hint("install ciba and cibad of the same version")
}

/// The daemon that runs, and what it says.
fn running(installed: Option<&str>) -> Vec<Check> {
    let hello = match ask::hello(PROMPTLY) {
        Ok(Some(hello)) => hello,
        Ok(None) => return vec![not_running()],
        Err(error) => return vec![failed("daemon", &error)],
    };
    let mut checks = vec![daemon(&hello, installed.unwrap_or(OURS))];
    match diagnosis() {
        Ok(diagnosis) => checks.extend(diagnosis.checks),
        Err(error) => checks.push(failed("daemon", &error)),
    }
    checks
}

fn not_running() -> Check {
    let message = "not running, so keychains, logins and servers were not checked: only the daemon sees them";
    Check::ok("daemon", message)
        .hint("ciba start --url URL, or ciba token where you are logged in, starts it")
}

fn daemon(hello: &Hello, installed: &str) -> Check {
    let message = format!("cibad {} is running, pid {}", hello.version, hello.pid);
    if hello.version == installed {
        return Check::ok("daemon", message);
    }
    Check::warning("daemon", format!("{message}; {installed} is installed")).hint("ciba restart")
}

fn diagnosis() -> Result<Diagnosis, Error> {
    let diagnosis = ask::whoever_runs(Op::Diagnose {}, |connection, op| {
        connection.ask_visibly(op, PATIENCE, "Looking")
    })?;
    diagnosis.ok_or_else(|| Error::internal("cibad has just ended").hint("ciba logs"))
}

fn failed(name: &str, error: &Error) -> Check {
    let Some(failure) = error.failure() else {
        return Check::failure(name, "");
    };
    let hint = failure.hint.clone();
    Check {
        hint,
        ..Check::failure(name, &failure.message)
    }
}

//! `ciba restart`: after an upgrade, the daemon becomes the program that is installed now and keeps every session.

use std::time::Duration;

use ipc_proto::{Hello, Op};
use serde::de::IgnoredAny;

use crate::ask;
use crate::connection::Connection;
use crate::error::Error;
use crate::launch::{self, Installed};
use crate::terminal::{self, Plain};

/// How long the daemon may take to agree, to change, and to answer again: each of them.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub(crate) struct Args {}

/// Asks the daemon that runs. When none does, the next command starts the installed one anyway.
pub(crate) fn run() -> Result<(), Error> {
    let Some(before) = ask::hello(PATIENCE)? else {
        terminal::tell("Nothing to restart: cibad is not running.");
        return Ok(());
    };
    let mut connection = Connection::connect()?.ok_or_else(gone)?;
    connection.send(Op::HandOver {})?;
    connection.answer::<IgnoredAny>(PATIENCE)?;
    // The old program hangs up when it is replaced: only then is the new one asked.
    connection.hung_up(PATIENCE)?;
    tell(&before, &ask::hello(PATIENCE)?.ok_or_else(gone)?)
}

fn tell(before: &Hello, after: &Hello) -> Result<(), Error> {
    let (version, pid) = (Plain(&after.version), after.pid);
    if before.pid != after.pid {
        return Err(gone());
    }
    if before.version != after.version {
        terminal::tell(format_args!(
            "cibad {version} has taken over, pid {pid}. Every session is kept."
        ));
        return Ok(());
    }
    // A program that does not tell its version is no reason to complain.
    match launch::installed() {
        Ok(installed) if installed.version != after.version => Err(goes_on(after, &installed)),
        _ => {
            terminal::tell(format_args!(
                "cibad {version} is the installed version already; it has begun anew, pid {pid}. \
                 Every session is kept."
            ));
            Ok(())
        }
    }
}

/// The daemon was started from another place, or the system has refused to run the new program.
fn goes_on(running: &Hello, installed: &Installed) -> Error {
    let message = format!(
        "cibad {} goes on; {} is cibad {}",
        running.version,
        installed.path.display(),
        installed.version
    );
    Error::internal(message).hint("ciba logs")
}

fn gone() -> Error {
    Error::internal("cibad has ended instead of being replaced").hint("ciba logs")
}

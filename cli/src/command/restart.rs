//! `ciba restart`: after an upgrade, the daemon becomes the program that is installed now and keeps every session.

use std::time::Duration;

use ipc_proto::{Hello, Op, PROTOCOL};
use serde::de::IgnoredAny;

use crate::agent::Agent;
use crate::error::Error;
use crate::terminal::{self, Plain};

/// How long the daemon may take to agree, to change, and to answer again: each of them.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub(crate) struct Args {}

/// Asks a daemon that is there; without one the next command starts what is installed anyway.
pub(crate) fn run() -> Result<(), Error> {
    let Some(mut agent) = Agent::connect()? else {
        terminal::tell("Nothing to restart: cibad is not running.");
        return Ok(());
    };
    agent.send(Op::HandOver {})?;
    agent.answer::<IgnoredAny>(PATIENCE)?;
    // The old program hangs up when it is replaced: only then is the new one asked.
    agent.hung_up(PATIENCE)?;
    let agent = Agent::connect()?.ok_or_else(gone)?;
    let hello: Hello = agent.ask(Op::Hello { protocol: PROTOCOL }, PATIENCE)?;
    terminal::tell(format_args!(
        "cibad {} has taken over, pid {}. Every session is kept.",
        Plain(&hello.version),
        hello.pid
    ));
    Ok(())
}

fn gone() -> Error {
    Error::internal("cibad has ended instead of being replaced").hint("ciba logs")
}

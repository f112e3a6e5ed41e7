//! `ciba`, the thin client: reads the command line, asks `cibad` over its socket, prints, and ends with the
//! exit status of the answer (I-006). It holds no state, no key and no connection to any server.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use crate::args::Invocation;
use crate::error::Error;
use crate::exit::Exit;

mod approval;
mod args;
mod ask;
mod audit_file;
mod browser;
mod changes;
mod checkup;
mod clock;
mod command;
mod companion;
mod connection;
mod curl;
mod environment;
mod error;
mod exit;
mod forward;
#[cfg(test)]
mod generated;
mod helper;
mod kept;
mod launch;
mod logfile;
mod login;
mod print;
mod question;
mod screen;
mod secret_input;
mod service;
mod terminal;
mod token_file;
mod trust;

fn main() -> ExitCode {
    if companion::is_meant() {
        return end(companion::run()).into();
    }
    if let Some(code) = helper::meant() {
        return code;
    }
    match args::parse() {
        Ok(invocation) => end(run(invocation)).into(),
        Err(refusal) => refusal,
    }
}

fn run(invocation: Invocation) -> Result<(), Error> {
    let profile = invocation.profile()?;
    let meant = profile.clone().unwrap_or_default();
    let done = command::run(invocation.command, invocation.one_shot, profile);
    done.map_err(|error| error.about(&meant))
}

/// Tells the person what went wrong, and returns the exit status.
fn end(outcome: Result<(), Error>) -> Exit {
    match outcome {
        Ok(()) | Err(Error::BrokenPipe) => Exit::Ok,
        Err(Error::Told(failure)) => {
            terminal::tell_failure(&failure);
            failure.code.into()
        }
        Err(Error::NotRun(failure, exit)) => {
            terminal::tell_failure(&failure);
            exit
        }
    }
}

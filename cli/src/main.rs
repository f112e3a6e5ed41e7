//! `ciba`, the thin client: reads the command line, asks `cibad` over its socket, prints, and ends with the
//! exit status of the answer (I-006). It holds no state, no key and no connection to any server.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use ipc_proto::Exit;

mod args;
mod ask;
mod browser;
mod checkup;
mod clock;
mod command;
mod connection;
mod environment;
mod error;
#[cfg(test)]
mod generated;
mod kept;
mod launch;
mod logfile;
mod login;
mod screen;
mod service;
mod terminal;
mod trust;

fn main() -> ExitCode {
    let outcome = match args::parse() {
        Ok(invocation) => command::run(invocation),
        Err(refusal) => return refusal,
    };
    match outcome {
        Ok(()) => Exit::Ok,
        Err(error) => error.report(),
    }
    .into()
}

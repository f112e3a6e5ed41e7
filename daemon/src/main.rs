//! `cibad`, the daemon of ciba: one per user, holds the challenge in locked memory and answers `ciba` over a
//! Unix socket. This file only reads the arguments; [`run`] does the rest.

mod agent;
mod audit;
mod authorize;
mod backoff;
mod config;
mod confirm;
mod diagnose;
mod failure;
#[cfg(test)]
mod fake;
mod handover;
mod harden;
mod incumbent;
mod ipc;
mod issuer;
mod keychain;
mod lifecycle;
mod listen;
mod loading;
mod log;
mod loopback;
mod memory;
mod notify;
mod oauth_error;
mod origin;
mod ownership;
mod printable;
mod request;
mod rules;
mod run;
mod secret;
mod server;
mod service;
mod session;
mod start;
mod sync;
mod table;
mod tls;

use std::process::ExitCode;

use clap::Parser;
use zeroizing_alloc::ZeroAlloc;

use crate::run::Start;

/// Wipes what is freed, also where a library copied a secret and did not: below the types that wipe
/// themselves, not instead of them.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

/// Holds your logins and serves their tokens to `ciba`
///
/// Detaches itself and returns once it serves. `ciba start` does this for you.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Stay in the foreground and log to stderr
    #[arg(long)]
    foreground: bool,

    /// The process that a detaching cibad starts
    #[arg(long, hide = true, conflicts_with = "foreground")]
    detached: bool,

    /// The process was an older cibad, which has left what it needs on standard input
    #[arg(long, hide = true)]
    takes_over: bool,
}

impl Args {
    fn start(&self) -> Start {
        match self {
            Self { takes_over: true, .. } => Start::TakeOver {
                in_foreground: self.foreground,
            },
            Self { foreground: true, .. } => Start::Foreground,
            Self { detached: true, .. } => Start::Detached,
            _ => Start::Detach,
        }
    }
}

fn main() -> ExitCode {
    let start = Args::parse().start();
    let gaps = harden::harden();
    match run::run(start, &gaps) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cibad: {error:#}");
            ExitCode::FAILURE
        }
    }
}

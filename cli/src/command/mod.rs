//! The commands, one file each: the options of a command (their doc comments are the help) and what it does.

use clap::Subcommand;
use ipc_proto::ProfileName;

use crate::error::Error;

pub(crate) mod add;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod one_shot;
pub(crate) mod restart;
pub(crate) mod service;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod token;
pub(crate) mod watch;

/// The commands, with the help they are listed by. Each is built only when it is meant (`defer`), so that
/// `ciba token` does not pay for the others; their argument structs therefore carry no help of their own.
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Log in at a server and keep the session
    Start(start::Args),
    /// Print an access token that is valid now
    Token(token::Args),
    /// Get a token of one more resource, ahead of need
    Add(add::Args),
    /// Show logins and the tokens in memory
    Status(status::Args),
    /// Print what happens to logins and tokens until interrupted
    Watch(watch::Args),
    /// Log out: end the session here and on the server
    Stop(stop::Args),
    /// Check what ciba needs, and say what to do
    Doctor(doctor::Args),
    /// Show the log of the daemon
    Logs(logs::Args),
    /// Let the installed cibad take over, with every session
    Restart(restart::Args),
    /// Run cibad as a user service (systemd, launchd)
    Service(service::Args),
    /// Print what makes a shell complete commands and options
    Completions(completions::Args),
    /// Show a manual page
    Man(man::Args),
}

/// Runs a command, or the one-shot login where there is none.
pub(crate) fn run(
    command: Option<Command>,
    one_shot: one_shot::Args,
    profile: Option<ProfileName>,
) -> Result<(), Error> {
    match command {
        Some(Command::Token(args)) => token::run(args, profile),
        Some(Command::Start(args)) => start::run(args, profile),
        Some(Command::Add(args)) => add::run(args, profile),
        Some(Command::Status(args)) => status::run(&args, profile),
        Some(Command::Watch(args)) => watch::run(&args),
        Some(Command::Stop(args)) => stop::run(&args, profile),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Logs(args)) => logs::run(&args),
        Some(Command::Restart(_)) => restart::run(),
        Some(Command::Service(args)) => service::run(&args),
        Some(Command::Completions(args)) => completions::run(&args),
        Some(Command::Man(args)) => man::run(&args),
        None => one_shot::run(one_shot, profile),
    }
}

//! The commands, one file each: what may be typed behind it (its doc comments are the help) and what it does.

use ipc_proto::ProfileName;

use crate::args::{Command, Invocation};
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

/// Runs what was typed.
pub(crate) fn run(invocation: Invocation) -> Result<(), Error> {
    let profile = invocation.profile()?;
    let meant = profile.clone().unwrap_or_default();
    run_with(profile, invocation).map_err(|error| error.about(&meant))
}

fn run_with(profile: Option<ProfileName>, invocation: Invocation) -> Result<(), Error> {
    match invocation.command {
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
        None => one_shot::run(invocation.one_shot, profile),
    }
}

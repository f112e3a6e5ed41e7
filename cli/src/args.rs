//! The command line: what may be typed.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use ipc_proto::ProfileName;

use crate::command::{Command, one_shot, token};
use crate::environment::or_variable;
use crate::error::Error;
use crate::exit::Exit;

/// Log in once in a browser, then get tokens in every shell
///
/// `ciba --url URL` without a command logs in, prints one token and leaves nothing behind.
#[derive(Parser)]
#[command(
    name = "ciba",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
pub(crate) struct Invocation {
    /// Login to use, where there are several [env: CIBA_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<ProfileName>,

    #[command(flatten)]
    pub(crate) one_shot: one_shot::Args,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Reads the command line. What is not to be run has been answered: help, version, or what is wrong.
pub(crate) fn parse() -> Result<Invocation, ExitCode> {
    if let Some(token) = TokenAlone::read() {
        return Ok(token);
    }
    Invocation::try_parse()
        .and_then(Invocation::check)
        .map_err(|refusal| {
            // When this cannot be written, the person cannot be told of that either.
            let _ = refusal.print();
            let exit = if refusal.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            exit.into()
        })
}

/// `ciba token` by itself: the list of all commands would cost a tenth of its run.
#[derive(Parser)]
#[command(disable_help_flag = true)]
struct TokenAlone {
    #[arg(long)]
    profile: Option<ProfileName>,

    #[command(flatten)]
    args: token::Args,
}

impl TokenAlone {
    /// Reads `ciba token …`. What is anything else, or wrong, [`Invocation`] reads, and explains.
    fn read() -> Option<Invocation> {
        let mut words = std::env::args_os().skip(1).peekable();
        words.peek().filter(|command| *command == "token")?;
        let Self { profile, args } = Self::try_parse_from(words).ok()?;
        Some(Invocation {
            profile,
            one_shot: one_shot::Args::default(),
            command: Some(Command::Token(args)),
        })
    }
}

impl Invocation {
    /// Holds the command line to what the derive cannot say.
    fn check(self) -> Result<Self, clap::Error> {
        let problem = match (&self.command, self.one_shot.is_given()) {
            (Some(_), true) => {
                "options before a command are for a login without one: put them behind the command"
            }
            (None, false) => "a command is missing",
            _ => return Ok(self),
        };
        Err(Self::command().error(ErrorKind::ArgumentConflict, problem))
    }

    /// Returns the profile to use; `None` leaves it to the daemon, which takes `default`.
    pub(crate) fn profile(&self) -> Result<Option<ProfileName>, Error> {
        or_variable(self.profile.clone(), "CIBA_PROFILE")
    }
}

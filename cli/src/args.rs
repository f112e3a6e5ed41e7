//! The command line: what may be typed.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser};
use ipc_proto::ProfileName;

use crate::command::{Command, one_shot, token};
use crate::environment::or_variable;
use crate::error::Error;
use crate::exit::Exit;
use crate::helper;

/// Letters that a command must share from its beginning to be what was meant.
const ALIKE: usize = 2;

/// Log in once in a browser, then get tokens in every shell
///
/// `ciba --url URL` without a command logs in, prints one token and leaves nothing behind.
#[derive(Parser)]
#[command(
    name = "ciba",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    after_help = helper::listing()
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
    Invocation::try_parse_from(words())
        .and_then(Invocation::check)
        .map_err(|mut refusal| {
            suggest(&mut refusal);
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

/// Returns what was typed; `ciba help token` is `ciba token --help`.
fn words() -> Vec<OsString> {
    let mut words: Vec<_> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "help") {
        words.remove(1);
        words.push("--help".into());
    }
    words
}

/// Adds the commands that begin most like one that does not exist. Suggestions of clap itself cost a package.
fn suggest(refusal: &mut clap::Error) {
    let Some(ContextValue::String(typed)) = refusal.get(ContextKind::InvalidSubcommand) else {
        return;
    };
    let near = nearest(typed);
    if !near.is_empty() {
        refusal.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(near));
    }
}

fn nearest(typed: &str) -> Vec<String> {
    let shared = |name: &str| {
        name.bytes()
            .zip(typed.bytes())
            .take_while(|(a, b)| a == b)
            .count()
    };
    let ciba = Invocation::command();
    let names = || ciba.get_subcommands().map(clap::Command::get_name);
    let most = names().map(shared).max().unwrap_or(0);
    names()
        .filter(|name| most >= ALIKE && shared(name) == most)
        .map(Into::into)
        .collect()
}

/// `ciba token` by itself: the list of all commands would cost a tenth of its run.
#[derive(Default, Parser)]
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
        let Self { profile, args } = match words.len() {
            1 => Self::default(),
            _ => Self::try_parse_from(words).ok()?,
        };
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
            (Some(Command::Curl(_) | Command::Curlrc(_) | Command::Netrc(_)), _)
                if self.profile.is_some() =>
            {
                "--profile does not go with this command: the host's rule says which login. \
                 To change it: ciba --profile NAME allow HOST --resource URN"
            }
            (Some(Command::Request(_) | Command::Client(_)), _) if self.profile.is_some() => {
                "--profile does not go with this command: it needs no login. \
                 --issuer and --client-id say which client asks"
            }
            (Some(_), true) => {
                "options before a command are for a one-shot login: ciba --url URL. \
                 To stay logged in: ciba start --url URL, then ciba token"
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

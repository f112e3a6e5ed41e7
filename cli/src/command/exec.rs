//! `ciba exec`: runs a program with a token in its environment.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ipc_proto::{Op, ProfileName, Token};

use crate::companion::{self, EXEC, Kept};
use crate::connection::socket;
use crate::environment::or_variable;
use crate::error::Error;
use crate::{ask, print, token_file, trust};

/// How long the daemon may take: it may have to ask the server for a new token.
const PATIENCE: Duration = Duration::from_secs(30);

/// The variable that names the file.
const FILE: &str = "CIBA_TOKEN_FILE";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Resource the token is for [env: CIBA_RESOURCE]
    #[arg(long, value_name = "URN")]
    resource: Option<String>,

    /// Time the token must still be valid: 60, 60s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = super::token::seconds)]
    min_valid: Option<u64>,

    /// Variable that holds the token
    #[arg(long, value_name = "NAME", default_value = "CIBA_TOKEN", value_parser = name)]
    env: String,

    /// Keep a file with a valid token as long as the program runs; CIBA_TOKEN_FILE names it
    #[arg(long)]
    refresh_file: bool,

    /// Program to run, and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

/// Becomes the program: signals reach it, and its exit status is the one that the caller sees.
pub(crate) fn run(args: Args, profile: Option<ProfileName>) -> Result<(), Error> {
    let resource = or_variable(args.resource, "CIBA_RESOURCE")?;
    let op = Op::Token {
        profile: profile.clone(),
        resource: resource.clone(),
        min_valid: args.min_valid,
        force: false,
        tool: Some(EXEC.into()),
    };
    let token: Token = ask::whoever_serves(op, |connection, op| connection.ask(op, PATIENCE))?;
    let secret = print::printable(&token)?;
    let mut words = args.command.into_iter();
    let program = words.next().ok_or_else(|| Error::usage("a program is missing"))?;
    let mut command = Command::new(program);
    command.args(words).env(args.env, secret);
    if args.refresh_file {
        let kept = Kept {
            profile,
            resource,
            expires_at: token.expires_at,
        };
        command.env(FILE, file(secret, kept)?);
    }
    // It returns only when it fails.
    let error = command.exec();
    Err(Error::not_run(command.get_program(), &error))
}

/// Writes the token into a file beside the socket, and has it kept until this process, which is soon the program, ends.
fn file(secret: &str, kept: Kept) -> Result<PathBuf, Error> {
    let path = place()?;
    token_file::create(&path, secret)
        .map_err(|error| Error::internal(format!("the token's file cannot be written: {error}")))?;
    companion::start(&path, Some(kept)).inspect_err(|_| {
        // There is nothing more to be done about a file that cannot be removed.
        let _ = fs::remove_file(&path);
    })?;
    Ok(path)
}

/// The runtime directory is the user's own (I-001), and mostly in memory. A process's number is its alone.
fn place() -> Result<PathBuf, Error> {
    let socket = socket()?;
    if !trust::has_directory(&socket, rustix::process::geteuid().as_raw())? {
        return Err(Error::internal("the socket's directory is gone"));
    }
    Ok(socket.with_file_name(format!("token-{}", std::process::id())))
}

/// Reads a variable's name (POSIX.1, 8.1).
fn name(text: &str) -> Result<String, &'static str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins_well = text.starts_with(|c: char| is_word(c) && !c.is_ascii_digit());
    if begins_well && text.chars().all(is_word) {
        Ok(text.into())
    } else {
        Err("a variable's name has letters, digits and underscores, and begins with no digit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_name_that_a_shell_can_say() {
        for good in ["CIBA_TOKEN", "_", "a1"] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", "1A", "A=B", "A B", "A-B", "Ä", "A\0"] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}

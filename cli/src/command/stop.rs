//! `ciba stop`: ends a session here and on the server.

use std::time::Duration;

use ipc_proto::{Op, ProfileName, Stopped};

use crate::ask;
use crate::error::Error;
use crate::kept;
use crate::terminal::{self, Plain};

/// How long the daemon may take: it tells the server.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// End every session
    #[arg(long, conflicts_with = "profile")]
    all: bool,
}

/// Asks the daemon, and starts it when there is none: only a daemon finds the logins that a keychain keeps. A login that a
/// daemon has ended before it left is one that the next daemon does not know, and says so.
pub(crate) fn run(args: &Args, profile: Option<ProfileName>) -> Result<(), Error> {
    let op = Op::Stop {
        profile: profile.filter(|_| !args.all),
        all: args.all,
    };
    tell(&ask::whoever_serves(op, |connection, op| {
        connection.ask(op, PATIENCE)
    })?);
    Ok(())
}

fn tell(stopped: &Stopped) {
    if stopped.profiles.is_empty() {
        terminal::tell("Nothing to stop: nobody is logged in.");
    }
    for profile in &stopped.profiles {
        terminal::tell(format_args!("Logged out of {profile}."));
    }
    for profile in &stopped.server_not_told {
        terminal::tell(format_args!(
            "The server of {profile} could not be told; its side of the session ends by itself."
        ));
    }
    for profile in &stopped.still_kept {
        terminal::tell(still_kept(profile, stopped));
    }
    if let Some(problem) = &stopped.keychain {
        let message = Plain(&problem.message);
        terminal::tell(format_args!("There may be more logins, which go on: {message}"));
        terminal::tell(format_args!("hint: {}", Plain(kept::cure(problem))));
    }
}

/// What a keychain did not delete opens nothing, once the server was told; but one that was never read may have an older
/// login, of which the server was not told.
fn still_kept(profile: &ProfileName, stopped: &Stopped) -> String {
    if stopped.server_not_told.contains(profile) || stopped.keychain.is_some() {
        format!("The keychain still has the login of {profile}: stop it again when the keychain is open.")
    } else {
        format!("The keychain still has the login of {profile}; it opens nothing any more.")
    }
}

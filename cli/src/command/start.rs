//! `ciba start`: a login in the browser, and a session that the daemon keeps.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ipc_proto::{Kept, KeychainKind, Op, ProfileName, Started, Status};
use serde::Serialize;

use crate::connection::Connection;
use crate::environment::or_variable;
use crate::error::Error;
use crate::kept;
use crate::login::{self, Prompt};
use crate::terminal::{self, Plain};

/// How long the daemon may take to say where it keeps the login. Without an answer the command still succeeds: the
/// login itself is done.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Server to log in at [env: CIBA_URL]
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Resource of the first token [env: CIBA_RESOURCE]
    #[arg(long, value_name = "URN")]
    resource: Option<String>,

    /// Where to keep the login [env: CIBA_KEYCHAIN]
    #[arg(long, value_name = "KEYCHAIN", value_parser = keychain())]
    keychain: Option<KeychainKind>,

    #[command(flatten)]
    prompt: Prompt,

    /// Print what happens as JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Reads a keychain's word, and tells shells which there are.
pub(super) fn keychain() -> impl TypedValueParser<Value = KeychainKind> {
    PossibleValuesParser::new(KeychainKind::ALL.map(KeychainKind::word)).try_map(|word| word.parse())
}

/// Runs the login to its end.
pub(crate) fn run(args: Args, profile: Option<ProfileName>) -> Result<(), Error> {
    let url = or_variable(args.url, "CIBA_URL")?;
    let op = Op::Start {
        url: url.ok_or_else(|| no_server(profile.as_ref()))?,
        profile,
        resource: or_variable(args.resource, "CIBA_RESOURCE")?,
        one_shot: false,
        keychain: or_variable(args.keychain, "CIBA_KEYCHAIN")?,
    };
    let started: Started = login::run(op, &args.prompt, |event| {
        if args.json {
            terminal::print_json(event)
        } else {
            Ok(())
        }
    })?;
    let kept = kept(&started.profile);
    if args.json {
        return terminal::print_json(&LoggedIn {
            event: "logged_in",
            started: &started,
            kept: kept.as_ref(),
        });
    }
    congratulate(&started);
    if let Some(kept) = &kept {
        tell_keeping(kept);
    }
    Ok(())
}

fn no_server(profile: Option<&ProfileName>) -> Error {
    let name = profile.cloned().unwrap_or_default();
    Error::usage("no server is named").hint(name.login("URL"))
}

/// The last line of `--json`.
#[derive(Serialize)]
struct LoggedIn<'a> {
    event: &'static str,
    #[serde(flatten)]
    started: &'a Started,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<&'a Kept>,
}

/// Asks where the login is kept; `None` when the daemon does not say.
fn kept(profile: &ProfileName) -> Option<Kept> {
    let op = Op::Status {
        profile: Some(profile.clone()),
    };
    let status: Status = Connection::connect().ok()??.ask(op, PATIENCE).ok()?;
    let login = status
        .profiles
        .into_iter()
        .find(|login| login.profile == *profile)?;
    login.kept
}

fn congratulate(started: &Started) {
    let who = started
        .subject
        .as_deref()
        .map(|name| format!(" as {}", Plain(name)));
    let profile = started.profile.option();
    terminal::tell(format_args!(
        "Logged in{}. `ciba token{profile}` now prints tokens.",
        who.unwrap_or_default()
    ));
}

fn tell_keeping(kept: &Kept) {
    let place = kept::place(kept);
    terminal::tell(format_args!("The login is {}.", Plain(&place)));
    if let Some(problem) = &kept.problem {
        terminal::tell(format_args!("hint: {}", Plain(kept::cure(problem))));
    }
}

//! `ciba start`: a login in the browser, and a session that the daemon keeps.

use ipc_proto::{Op, ProfileName, Started};
use serde::Serialize;

use crate::args;
use crate::error::Error;
use crate::login::{self, Prompt};
use crate::terminal::{self, Plain};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Server to log in at [env: CIBA_URL]
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Resource of the first token [env: CIBA_RESOURCE]
    #[arg(long, value_name = "URN")]
    resource: Option<String>,

    #[command(flatten)]
    prompt: Prompt,

    /// Print what happens as JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Runs the login to its end.
pub(crate) fn run(args: Args, profile: Option<ProfileName>) -> Result<(), Error> {
    let url = args::or_variable(args.url, "CIBA_URL")?;
    let op = Op::Start {
        url: url.ok_or_else(|| Error::usage("no server is named").hint("ciba start --url URL"))?,
        profile,
        resource: args::or_variable(args.resource, "CIBA_RESOURCE")?,
        one_shot: false,
        keychain: None,
    };
    let started: Started = login::run(op, &args.prompt, |event| {
        if args.json {
            terminal::print_json(event)
        } else {
            Ok(())
        }
    })?;
    if args.json {
        return terminal::print_json(&LoggedIn {
            event: "logged_in",
            started: &started,
        });
    }
    congratulate(&started);
    Ok(())
}

/// The last line of `--json`.
#[derive(Serialize)]
struct LoggedIn<'a> {
    event: &'static str,
    #[serde(flatten)]
    started: &'a Started,
}

fn congratulate(started: &Started) {
    let who = started
        .subject
        .as_deref()
        .map(|name| format!(" as {}", Plain(name)));
    let profile = if started.profile == ProfileName::default() {
        String::new()
    } else {
        format!(" --profile {}", started.profile)
    };
    terminal::tell(format_args!(
        "Logged in{}. `ciba token{profile}` now prints tokens.",
        who.unwrap_or_default()
    ));
}

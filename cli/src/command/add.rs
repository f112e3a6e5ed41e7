//! `ciba add`: a token of one more resource, before a program waits for it.

use std::time::Duration;

use ipc_proto::{Added, Op, ProfileName};

use crate::ask;
use crate::clock;
use crate::environment::or_variable;
use crate::error::Error;
use crate::terminal::{self, Plain};

/// How long the daemon may take: it asks the server, and the server its provider.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Resource to add [env: CIBA_RESOURCE]
    #[arg(long, value_name = "URN")]
    resource: Option<String>,

    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Asks the daemon, and starts it when there is none, as `ciba token` does.
pub(crate) fn run(args: Args, profile: Option<ProfileName>) -> Result<(), Error> {
    let resource = or_variable(args.resource, "CIBA_RESOURCE")?
        .ok_or_else(|| Error::usage("no resource is named").hint("ciba add --resource URN"))?;
    let what = format!("Getting a token for {}", Plain(&resource));
    let op = Op::Add { resource, profile };
    let added: Added = ask::whoever_serves(op, |connection, op| connection.ask_visibly(op, PATIENCE, &what))?;
    if args.json {
        return terminal::print_json(&added);
    }
    let profile = added.profile.option();
    let resource = Plain(&added.resource);
    terminal::tell(format_args!(
        "Added {resource}, {}. To print it:\n  ciba token{profile} --resource {resource}",
        clock::ends(clock::left(added.expires_at))
    ));
    Ok(())
}

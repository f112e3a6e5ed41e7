//! `ciba client`: the credentials that `ciba request` proves itself with, in a keychain.

use std::time::Duration;

use ipc_proto::{ClientKept, Clients, KeychainKind, Op};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::request::{Client, Credential};
use crate::ask;
use crate::environment::or_variable;
use crate::error::Error;
use crate::kept;
use crate::terminal::{self, Plain};

/// How long the daemon may take: a keychain answers within 5 s, and there are a few.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Keep a client's secret or key; the secret is asked for, or read from standard input
    Add {
        #[command(flatten)]
        client: Client,

        #[command(flatten)]
        credential: Credential,

        /// Where to keep it [env: CIBA_KEYCHAIN]
        #[arg(long, value_name = "KEYCHAIN", value_parser = super::start::keychain())]
        keychain: Option<KeychainKind>,
    },
    /// Show the clients whose credentials are kept
    List {
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Forget a client's credential
    Remove {
        #[command(flatten)]
        client: Client,
    },
}

/// An answer that holds nothing.
#[derive(Deserialize)]
struct Done {}

/// Asks the daemon, and starts it when there is none.
pub(crate) fn run(args: Args) -> Result<(), Error> {
    match args.what {
        What::Add {
            client,
            credential,
            keychain,
        } => add(client, &credential, keychain),
        What::List { json } => list(json),
        What::Remove { client } => remove(client),
    }
}

fn add(client: Client, credential: &Credential, keychain: Option<KeychainKind>) -> Result<(), Error> {
    let added: ClientKept = answer(Op::ClientAdd {
        issuer: client.issuer,
        client_id: client.client_id,
        credential: credential.read_or_ask()?,
        keychain: or_variable(keychain, "CIBA_KEYCHAIN")?,
    })?;
    terminal::tell(format_args!(
        "The client {} is kept in: {}. `ciba request` now uses it.",
        Plain(&added.client_id),
        kept::name(added.keychain),
    ));
    Ok(())
}

fn list(json: bool) -> Result<(), Error> {
    let list: Clients = answer(Op::Clients {})?;
    if json {
        return terminal::print_json(&list);
    }
    for client in &list.clients {
        terminal::print(line(client).as_bytes())?;
    }
    if let Some(problem) = &list.keychain {
        terminal::tell_failure(problem);
    }
    Ok(())
}

fn line(client: &ClientKept) -> String {
    let ClientKept {
        issuer,
        client_id,
        method,
        keychain,
    } = client;
    format!(
        "{}  {}  {}  {keychain}\n",
        Plain(issuer),
        Plain(client_id),
        method.word()
    )
}

fn remove(client: Client) -> Result<(), Error> {
    let Client { issuer, client_id } = client;
    let told = format!("Forgot the client {}.", Plain(&client_id));
    let Done {} = answer(Op::ClientRemove { issuer, client_id })?;
    terminal::tell(told);
    Ok(())
}

fn answer<T: DeserializeOwned>(op: Op) -> Result<T, Error> {
    ask::whoever_serves(op, |connection, op| connection.ask(op, PATIENCE))
}

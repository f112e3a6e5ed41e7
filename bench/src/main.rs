//! `ciba-bench`: what we measure, and against whom. One file a subject; every number stands beside its goal and
//! beside a peer or a floor that was measured in the same run, since no number travels between machines.

mod agent;
mod ciba;
mod client;
mod daemon;
mod floor;
mod lasting;
mod login;
mod measure;
mod programs;
mod server;
mod session;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::measure::table::Table;

/// Measures the programs of ciba beside peers and floors
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Print JSON instead of tables, one subject a line
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand)]
enum Subject {
    /// Everything below, one after the other
    All,
    /// `ciba token` beside `true`
    Client(client::Args),
    /// `cibad` under many clients, beside a bare server on a Unix socket
    Daemon(daemon::Args),
    /// `cibad` as it lives for weeks: cold, idle, with many logins and many tokens
    Lasting(lasting::Args),
    /// The helpers that tools run, beside `ciba token`
    Helpers(tools::Args),
    /// From the end of a login to the token, beside the callback's own answer
    Login(login::Args),
    /// `ciba-server` under many devices, beside a bare WebSocket server and the real Hocuspocus server
    Server(server::Args),
    /// `ciba-server` as a CIBA provider, beside npm oidc-provider
    Ciba(ciba::Args),
    /// The bare server that `daemon` compares with
    #[command(hide = true)]
    FloorAgent(floor::agent::Args),
    /// The bare server that `server` compares with
    #[command(hide = true)]
    FloorServer,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Args { json, subject } = Args::parse();
    measure::procfs::raise_open_files()?;
    match subject {
        Subject::All => all(json).await,
        Subject::Client(args) => Ok(show(client::run(&args).await, json)),
        Subject::Daemon(args) => Ok(show(daemon::run(&args).await, json)),
        Subject::Lasting(args) => Ok(show(lasting::run(&args).await, json)),
        Subject::Helpers(args) => Ok(show(tools::run(&args).await, json)),
        Subject::Login(args) => Ok(show(login::run(&args).await, json)),
        Subject::Server(args) => Ok(show(server::run(&args).await, json)),
        Subject::Ciba(args) => Ok(show(ciba::run(&args).await, json)),
        Subject::FloorAgent(args) => floor::agent::run(&args).await,
        Subject::FloorServer => floor::server::run().await,
    }
}

/// Each subject as if it had been named without options, whatever became of the one before.
async fn all(json: bool) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for subject in ["client", "daemon", "lasting", "helpers", "login", "server"] {
        let args = Args::try_parse_from(["ciba-bench", subject])?;
        let measured = match &args.subject {
            Subject::Client(args) => client::run(args).await,
            Subject::Daemon(args) => daemon::run(args).await,
            Subject::Lasting(args) => lasting::run(args).await,
            Subject::Helpers(args) => tools::run(args).await,
            Subject::Login(args) => login::run(args).await,
            Subject::Server(args) => server::run(args).await,
            _ => continue,
        };
        if show(measured, json) != ExitCode::SUCCESS {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// Prints a subject's table. It fails when nothing could be measured, never because of a number.
fn show(measured: Result<Table>, json: bool) -> ExitCode {
    match measured {
        Ok(table) if json => println!("{}", serde_json::json!(table)),
        Ok(table) => println!("{table}"),
        Err(error) => {
            eprintln!("ciba-bench: {error:#}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

//! `ciba forward`: a socket that gives tokens of a few named resources and nothing else, for another machine that is
//! reached with `ssh -R`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ipc_proto::ProfileName;

use crate::connection::socket;
use crate::error::Error;
use crate::forward::{Door, Grant};
use crate::terminal::{self, Plain};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Resource whose tokens are passed on, the first one also when none is named; may be given again
    #[arg(long = "resource", value_name = "URN", required = true)]
    resources: Vec<String>,

    /// Where to listen [default: beside the socket of cibad]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// Time after which to end: 60, 60s, 5m, 1h
    #[arg(long = "for", value_name = "TIME", value_parser = super::token::seconds)]
    lifetime: Option<u64>,
}

/// Serves until it is interrupted, or its time is over.
pub(crate) fn run(args: Args, profile: Option<ProfileName>) -> Result<(), Error> {
    let deadline = args.lifetime.map(end).transpose()?;
    let path = place(args.socket)?;
    let door = Door::open(&path)?;
    tell(&path, &args.resources, args.lifetime)?;
    let grant = Grant {
        profile,
        resources: args.resources,
    };
    door.serve(grant, deadline)
}

fn end(seconds: u64) -> Result<Instant, Error> {
    Instant::now()
        .checked_add(Duration::from_secs(seconds))
        .ok_or_else(|| Error::usage("no machine runs for so long"))
}

fn place(typed: Option<PathBuf>) -> Result<PathBuf, Error> {
    let beside = || Ok(socket()?.with_file_name(format!("forward-{}.sock", std::process::id())));
    let path = typed.map_or_else(beside, |path| {
        std::path::absolute(path).map_err(|_| Error::usage("the socket needs a path"))
    })?;
    Ok(path)
}

/// Prints the socket's path for scripts, and what to type for people.
fn tell(path: &Path, resources: &[String], lifetime: Option<u64>) -> Result<(), Error> {
    let shown = path.display().to_string();
    let shown = Plain(&shown);
    let until = lifetime.map_or_else(|| "until you interrupt it".into(), |left| format!("for {left} s"));
    terminal::tell(format_args!(
        "Passing on tokens of {}, {until}.",
        Plain(&resources.join(", "))
    ));
    terminal::tell("First, from here:            ssh HOST 'mkdir -p -m 700 .ciba && rm -f .ciba/agent.sock'");
    terminal::tell(format_args!(
        "Then, from here:             ssh -R /home/YOU/.ciba/agent.sock:{shown} HOST"
    ));
    terminal::tell("And there:                   CIBA_SOCKET=~/.ciba/agent.sock ciba token");
    terminal::print(format!("{shown}\n").as_bytes())
}

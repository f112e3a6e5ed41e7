//! The helpers that tools run, as whole processes with a token in the daemon's memory: beside `ciba token`, and beside
//! programs that tools run in their place.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ciba_tests::{PATIENCE, until};
use ipc_proto::{Configuration, Op};
use rustix::process::{Signal, kill_process};

use crate::measure::callgrind::instructions;
use crate::measure::percentile::Samples;
use crate::measure::table::{Quantity, Row, Table};
use crate::programs;
use crate::session::Session;

/// What a helper may cost, in hundredths of `ciba token`.
const PERCENT_MAX: u64 = 130;

/// A service that the rule names.
const HOST: &str = "git.example.com";

/// What pip asks for first: a service by its URL. By its bare name nothing is answered.
const INDEX: &str = "https://git.example.com/simple/";

const RULE: &str = "[[host]]\nmatch = \"git.example.com\"\nresource = \"urn:d:unified-gateway\"\n";

/// What a tool runs: name, arguments, standard input.
type Line = (&'static str, &'static [&'static str], &'static str);

/// Ours: `ciba ARGUMENTS`.
const HELPERS: &[Line] = &[
    (
        "git-credential get",
        &["git-credential", "get"],
        "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=git.example.com\nwwwauth[]=Bearer realm=\"x\"\n",
    ),
    ("docker-credential get", &["docker-credential", "get"], HOST),
    (
        "bazel-credential get",
        &["bazel-credential", "get"],
        "{\"uri\":\"https://git.example.com/x\"}",
    ),
    ("keyring get", &["keyring", "get", INDEX, "oauth2"], ""),
    ("netrc", &["netrc", HOST], ""),
];

/// Programs that tools run in their place, where they are installed; none of these finds a password.
const PEERS: &[Line] = &[
    (
        "git credential-store get",
        &["git", "credential-store", "get"],
        "protocol=https\nhost=git.example.com\n",
    ),
    ("Python's keyring get", &["keyring", "get", HOST, "oauth2"], ""),
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rounds to time, each of `ciba token` and of every helper
    #[arg(long, default_value_t = 500)]
    rounds: usize,
}

pub(crate) async fn run(args: &Args) -> Result<Table> {
    programs::build()?;
    let client = programs::build_client()?;
    let session = Session::start().await?;
    make_rule(&session).await?;
    let home = session.world.home();
    let socket = session.world.socket();
    let subjects = subjects(&client, &socket, &home)?;
    let peers = peers(&home)?;

    let mut table = Table::new("helpers: whole process with a cached token, beside `ciba token`");
    let floor = subjects[0].instructions()?;
    for helper in &subjects[1..] {
        table.row(helper.instructions_row(floor)?);
    }
    let times = tokio::task::block_in_place(|| time_all(args.rounds, &subjects))?;
    let floor = times[0].median();
    for (helper, times) in subjects.iter().zip(&times).skip(1) {
        let goal = floor.mul_f64(PERCENT_MAX as f64 / 100.0);
        let row = Row::new(format!("{}: time, median", helper.name), times.median());
        table.row(row.goal(goal).beside("ciba token", floor));
    }
    for peer in &peers {
        let times = tokio::task::block_in_place(|| time_all(PEER_ROUNDS, std::slice::from_ref(peer)))?;
        table.row(
            Row::new(format!("peer: {}: time, median", peer.name), times[0].median())
                .beside("ciba token", floor),
        );
    }
    table.note(format!(
        "time: from before posix_spawn to after wait, {} rounds, each of one after the other",
        args.rounds
    ));
    Ok(table)
}

/// Rounds of a peer that may take a tenth of a second.
const PEER_ROUNDS: usize = 20;

/// A command and the file that it reads.
struct Subject {
    name: &'static str,
    program: PathBuf,
    arguments: &'static [&'static str],
    input: PathBuf,
    environment: Vec<(&'static str, PathBuf)>,
    /// Whether it has to find something.
    succeeds: bool,
}

fn subjects(client: &Path, socket: &Path, home: &Path) -> Result<Vec<Subject>> {
    let floor: Line = ("ciba token", &["token"], "");
    let all = std::iter::once(&floor).chain(HELPERS);
    all.map(|&(name, arguments, input)| {
        Ok(Subject {
            name,
            program: client.to_owned(),
            arguments,
            input: file(home, name, input)?,
            environment: vec![("CIBA_SOCKET", socket.to_owned()), ("HOME", home.to_owned())],
            succeeds: true,
        })
    })
    .collect()
}

/// The peers that are installed.
fn peers(home: &Path) -> Result<Vec<Subject>> {
    let mut found = Vec::new();
    for &(name, words, input) in PEERS {
        let Some(program) = in_path(words[0]) else {
            continue;
        };
        found.push(Subject {
            name,
            program,
            arguments: &words[1..],
            input: file(home, name, input)?,
            environment: vec![("HOME", home.to_owned())],
            succeeds: false,
        });
    }
    Ok(found)
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places.find(|place| place.is_file())
}

fn file(home: &Path, name: &str, input: &str) -> Result<PathBuf> {
    let path = home.join(name.replace([' ', '\''], "-"));
    fs::write(&path, input)?;
    Ok(path)
}

impl Subject {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(self.arguments)
            .envs(self.environment.iter().cloned());
        command
    }

    fn input(&self) -> Result<Stdio> {
        Ok(File::open(&self.input)?.into())
    }

    fn instructions(&self) -> Result<u64> {
        instructions(&self.command(), self.input()?)
    }

    fn instructions_row(&self, floor: u64) -> Result<Row> {
        let count = self.instructions()?;
        let row = Row::new(format!("{}: instructions", self.name), Quantity::Count(count));
        let goal = Quantity::Count(floor * PERCENT_MAX / 100);
        Ok(row.goal(goal).beside("ciba token", Quantity::Count(floor)))
    }

    fn time(&self) -> Result<Duration> {
        let mut command = self.command();
        command
            .stdin(self.input()?)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let start = Instant::now();
        let status = command.status()?;
        let time = start.elapsed();
        ensure!(status.success() || !self.succeeds, "{command:?}: {status}");
        Ok(time)
    }
}

/// Takes turns, so that whatever else the machine does meets all alike.
fn time_all(rounds: usize, subjects: &[Subject]) -> Result<Vec<Samples>> {
    let mut times = vec![Vec::with_capacity(rounds); subjects.len()];
    for subject in subjects {
        subject.time()?; // From the disk into the page cache.
    }
    for _ in 0..rounds {
        for (subject, times) in subjects.iter().zip(&mut times) {
            times.push(subject.time()?);
        }
    }
    let samples = times.into_iter().map(Samples::new);
    samples.collect::<Option<_>>().context("no rounds to time")
}

async fn make_rule(session: &Session) -> Result<()> {
    let folder = session.world.home().join(".config/ciba");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("config.toml"), RULE)?;
    kill_process(session.daemon()?, Signal::HUP)?;
    until("the rule to be in force", PATIENCE, async || {
        let mut agent = session.agent().await.ok()?;
        let asked = agent.ask::<Configuration>(Op::Configuration {}).await;
        (!asked.ok()?.rules.is_empty()).then_some(())
    })
    .await
}

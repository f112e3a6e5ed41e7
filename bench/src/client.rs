//! `ciba token` with a token in the daemon's memory, as a whole process, beside `true`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::measure::callgrind::instructions;
use crate::measure::percentile::Samples;
use crate::measure::table::{Quantity, Row, Table};
use crate::programs;
use crate::session::Session;

const INSTRUCTIONS_MAX: u64 = 250_000;
const BEHIND_TRUE_MAX: Duration = Duration::from_micros(150);
const PACKAGES_MAX: u64 = 30;

/// The process that does nothing.
const TRUE: &str = "/bin/true";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Pairs of processes to time
    #[arg(long, default_value_t = 1000)]
    pairs: usize,
}

pub(crate) async fn run(args: &Args) -> Result<Table> {
    programs::build()?;
    let client = programs::build_client()?;
    let session = Session::start().await?;
    let ours = ciba_token(&client, &session.world.socket());
    let nothing = Command::new(TRUE);

    let mut table = Table::new("client: `ciba token`, cached, as a whole process");
    table.row(instructions_row(&ours, &nothing)?);
    let (ours, nothing) = tokio::task::block_in_place(|| time_pairs(args.pairs, ours, nothing))?;
    time_rows(&ours, &nothing)
        .into_iter()
        .for_each(|row| table.row(row));
    let packages = u64::try_from(programs::packages_behind_client()?)?;
    table.row(Row::new("packages behind it", Quantity::Count(packages)).goal(Quantity::Count(PACKAGES_MAX)));
    table.note(format!(
        "time: from before posix_spawn to after wait, standard output to /dev/null, {} pairs, each of one and the other",
        ours.len()
    ));
    Ok(table)
}

fn ciba_token(client: &Path, socket: &Path) -> Command {
    let mut command = Command::new(client);
    command.arg("token").env("CIBA_SOCKET", socket);
    command
}

fn instructions_row(ours: &Command, nothing: &Command) -> Result<Row> {
    let [ours, nothing] = [ours, nothing].map(|command| instructions(command, Stdio::null()));
    let [ours, nothing] = [ours?, nothing?].map(Quantity::Count);
    Ok(Row::new("instructions", ours)
        .goal(Quantity::Count(INSTRUCTIONS_MAX))
        .beside("true", nothing))
}

/// Alternates, so that whatever else the machine does meets both alike.
fn time_pairs(pairs: usize, mut one: Command, mut other: Command) -> Result<(Samples, Samples)> {
    for command in [&mut one, &mut other] {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        time(command)?; // From the disk into the page cache.
    }
    let (mut ones, mut others) = (Vec::with_capacity(pairs), Vec::with_capacity(pairs));
    for _ in 0..pairs {
        ones.push(time(&mut one)?);
        others.push(time(&mut other)?);
    }
    let samples = |samples| Samples::new(samples).context("no pairs to time");
    Ok((samples(ones)?, samples(others)?))
}

fn time(command: &mut Command) -> Result<Duration> {
    let start = Instant::now();
    let status = command.status()?;
    let time = start.elapsed();
    ensure!(status.success(), "{command:?}: {status}");
    Ok(time)
}

fn time_rows(ours: &Samples, nothing: &Samples) -> [Row; 3] {
    let behind = ours.median().as_secs_f64() - nothing.median().as_secs_f64();
    [
        Row::new("time, median", ours.median()).beside("true", nothing.median()),
        Row::new("time, least", ours.min()).beside("true", nothing.min()),
        Row::new("median behind that of `true`", Quantity::Seconds(behind)).goal(BEHIND_TRUE_MAX),
    ]
}

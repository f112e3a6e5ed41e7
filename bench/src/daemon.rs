//! `cibad` with one session: its memory, and its answers to many clients at once, beside a bare server that
//! answers as many bytes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ciba_tests::{PATIENCE, Process, until};
use ipc_proto::Token;
use rustix::process::Pid;
use tokio::task::JoinSet;

use crate::agent::Agent;
use crate::measure::percentile::Samples;
use crate::measure::procfs::Usage;
use crate::measure::table::{Quantity, Row, Table};
use crate::session::{Session, token, token_length};
use crate::{floor, programs};

const MIB: f64 = 1024.0 * 1024.0;
const RSS_MAX: Quantity = Quantity::Bytes(8.0 * MIB);
const P99_MAX: Duration = Duration::from_millis(5);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Clients at once, each with a connection of its own
    #[arg(long, default_value_t = 64)]
    clients: usize,

    /// Requests of each client, one after the other
    #[arg(long, default_value_t = 500)]
    requests: usize,
}

/// What a crowd of clients saw, and what it cost who answered.
struct Crowd {
    latencies: Samples,
    failures: u64,
    cpu_per_request: f64,
}

pub(crate) async fn run(args: &Args) -> Result<Table> {
    programs::build()?;
    let session = Session::start().await?;
    let daemon = session.daemon()?;
    let alone = Usage::of(daemon)?;
    let ours = crowd(args, &session.world.socket(), daemon).await?;
    let crowded = Usage::of(daemon)?.rss;
    let floor = floor(args, &session).await?;

    let mut table = Table::new("daemon: cibad with one session");
    table.row(Row::new("memory (RSS)", bytes(alone.rss)).goal(RSS_MAX));
    table.row(Row::new("  of it not from files", bytes(alone.anonymous)));
    table.row(Row::new(
        format!("  after {} clients at once", args.clients),
        bytes(crowded),
    ));
    table.row(Row::new("requests that failed", Quantity::Count(ours.failures)).goal(Quantity::Count(0)));
    let at = |percent| {
        (
            ours.latencies.percentile(percent),
            floor.latencies.percentile(percent),
        )
    };
    let ((p50, floor_p50), (p99, floor_p99)) = (at(50), at(99));
    table.row(Row::new("time to the token, p50", p50).beside("floor", floor_p50));
    table.row(
        Row::new("time to the token, p99", p99)
            .goal(P99_MAX)
            .beside("floor", floor_p99),
    );
    let cpu = Row::new(
        "processor time a request",
        Quantity::Seconds(ours.cpu_per_request),
    );
    table.row(cpu.beside("floor", Quantity::Seconds(floor.cpu_per_request)));
    table.note(format!(
        "time: seen by {} clients that each ask again at once, {} times; their own work on the same processors is in it",
        args.clients, args.requests
    ));
    table.note("floor: a tokio server on a Unix socket that answers every line with a constant one of the same length");
    Ok(table)
}

/// The same crowd before a server that only answers.
async fn floor(args: &Args, session: &Session) -> Result<Crowd> {
    let socket = session.world.home().join("floor.sock");
    let process = Process::spawn(floor::agent::command(&socket, token_length(session).await?)?)?;
    until("the floor", PATIENCE, async || Agent::connect(&socket).await.ok()).await?;
    crowd(args, &socket, process.pid().context("the floor has ended")?).await
}

async fn crowd(args: &Args, socket: &Path, server: Pid) -> Result<Crowd> {
    let before = Usage::of(server)?.cpu;
    let mut clients = JoinSet::new();
    for _ in 0..args.clients {
        clients.spawn(client(PathBuf::from(socket), args.requests));
    }
    let times = clients.join_all().await.concat();
    let asked = args.clients * args.requests;
    let cpu = (Usage::of(server)?.cpu - before).total;
    Ok(Crowd {
        failures: u64::try_from(asked - times.len())?,
        latencies: Samples::new(times).context("every request failed")?,
        cpu_per_request: cpu.as_secs_f64() / f64::from(u32::try_from(asked)?),
    })
}

/// Returns the times of the requests that were answered with a token; the first failure ends a client.
async fn client(socket: PathBuf, requests: usize) -> Vec<Duration> {
    let mut times = Vec::with_capacity(requests);
    let Ok(mut agent) = Agent::connect(&socket).await else {
        return times;
    };
    for _ in 0..requests {
        let start = Instant::now();
        if agent.ask::<Token>(token(None)).await.is_err() {
            break;
        }
        times.push(start.elapsed());
    }
    times
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn bytes(count: u64) -> Quantity {
    Quantity::Bytes(count as f64)
}

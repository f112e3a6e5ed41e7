//! `ciba-server` as a CIBA provider, beside the real npm oidc-provider under the same load.

mod client;
mod host;
mod streams;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rustix::process::Pid;

use self::client::Client;
use self::host::{Floor, Host};
use self::streams::Streams;
use crate::measure::percentile::Samples;
use crate::measure::procfs::Usage;
use crate::measure::table::{Quantity, Row, Table};
use crate::programs;

const CPU_MAX: Duration = Duration::from_micros(35);
const OPEN_MAX: f64 = 40.0 * 1024.0 * 1024.0;
const HELD_MAX: f64 = 100.0 * 1024.0 * 1024.0;
const ANSWERED_MAX: Duration = Duration::from_millis(5);

/// Requests that are made and polled before any is counted.
const WARM: usize = 200;

/// How long held polls are watched.
const WATCHED: Duration = Duration::from_secs(10);

/// Polls over one HTTP/2 connection: what the server takes at most.
const SHARED_BY: usize = 250;

/// The longest that the server holds a poll, seconds.
const LONG_POLL: u64 = 30;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Requests that are made, polled once each, and stay open
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    /// Requests of the peer, whose own memory holds a thousand
    #[arg(long, default_value_t = 600)]
    peer_requests: usize,
    /// Long polls held at once
    #[arg(long, default_value_t = 10_000)]
    held: usize,
    /// Approvals that a held poll waits for
    #[arg(long, default_value_t = 500)]
    approvals: usize,
    /// Connections at once
    #[arg(long, default_value_t = 8)]
    clients: usize,
}

/// What requests cost a provider.
struct Cost {
    /// Processor time of one request for a person's consent.
    ask: Duration,
    /// Processor time of one poll of a pending request.
    poll: Duration,
    /// What all of them together added to its memory, bytes.
    memory: u64,
}

pub(crate) async fn run(args: &Args) -> Result<Table> {
    programs::build()?;
    let mut table = Table::new("ciba: a provider under many clients");
    let kept = cost(
        &Host::ours("sqlite:ciba.db", 0).await?,
        args.requests,
        args.clients,
    )
    .await?;
    let ours = cost(&Host::ours("memory:", 0).await?, args.requests, args.clients).await?;
    let peer = cost(&Host::node().await?, args.peer_requests, args.clients).await?;
    table.row(
        Row::new("bc-authorize, processor time", ours.ask)
            .goal(CPU_MAX)
            .beside("oidc-provider", peer.ask),
    );
    table.row(
        Row::new("pending poll, processor time", ours.poll)
            .goal(CPU_MAX)
            .beside("oidc-provider", peer.poll),
    );
    table.row(Row::new("bc-authorize, kept in SQLite", kept.ask).beside("memory:", ours.ask));
    table.row(Row::new("pending poll, kept in SQLite", kept.poll).beside("memory:", ours.poll));
    let open = format!("{} open requests, memory", args.requests);
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let memory = Quantity::Bytes(ours.memory as f64);
    table.row(Row::new(open, memory).goal(Quantity::Bytes(OPEN_MAX)));
    held(args, &mut table).await?;
    answered(args, &mut table).await?;
    table.note(format!(
        "{} requests over {} connections that stay; oidc-provider: {} requests, in its own memory",
        args.requests, args.clients, args.peer_requests
    ));
    table.note("client_secret_post; processor time is that of the whole process, kernel included");
    Ok(table)
}

async fn cost(host: &Host, requests: usize, clients: usize) -> Result<Cost> {
    let mut connections = connections(host, clients).await?;
    // What is made at first, and what a compiler has yet to learn, is not what a request costs.
    for _ in 0..WARM {
        let id = host.ask(&mut connections[0]).await?;
        host.poll(&mut connections[0], &id).await?;
    }
    let begun = Usage::of(host.pid)?;
    let share = requests.div_ceil(clients);
    let asked = connections.into_iter().map(async |mut client| {
        let mut ids = Vec::with_capacity(share);
        for _ in 0..share {
            ids.push(host.ask(&mut client).await?);
        }
        anyhow::Ok((client, ids))
    });
    let asked = futures_util::future::try_join_all(asked).await?;
    let between = Usage::of(host.pid)?;
    let polled = asked.into_iter().map(async |(mut client, ids)| {
        for id in &ids {
            host.poll(&mut client, id).await?;
        }
        anyhow::Ok(())
    });
    futures_util::future::try_join_all(polled).await?;
    let ended = Usage::of(host.pid)?;
    let made = u32::try_from(share * clients).context("too many requests")?;
    Ok(Cost {
        ask: (between.cpu - begun.cpu).total / made,
        poll: (ended.cpu - between.cpu).total / made,
        memory: ended.rss.saturating_sub(begun.rss),
    })
}

/// Holds many polls at once and looks at the server: with a connection for each, beside a bare server that holds as many,
/// and with few connections that they share.
async fn held(args: &Args, table: &mut Table) -> Result<()> {
    let host = Host::ours("memory:", LONG_POLL).await?;
    let ours = hold(args, host.pid, async |_| hold_poll(&host).await).await?;
    drop(host);
    let floor = Floor::start().await?;
    let bare = hold(args, floor.pid, async |_| floor.hold().await).await?;
    drop(floor);
    let host = Host::ours("memory:", LONG_POLL).await?;
    let shared = hold_shared(args, &host).await?;
    let what = format!("{} held polls", args.held);
    table.row(
        Row::new(format!("{what} over HTTP/2, memory"), shared.memory)
            .goal(Quantity::Bytes(HELD_MAX))
            .beside("a connection for each", ours.memory),
    );
    let took = format!("processor time in {} s", WATCHED.as_secs());
    table.row(Row::new(format!("{what} over HTTP/2, {took}"), shared.cpu));
    table.row(
        Row::new(format!("{what} over HTTP/1.1, memory"), ours.memory)
            .goal(Quantity::Bytes(HELD_MAX))
            .beside("a bare server that holds as many", bare.memory),
    );
    table
        .row(Row::new(format!("{what} over HTTP/1.1, {took}"), ours.cpu).beside("the bare server", bare.cpu));
    Ok(())
}

async fn hold_shared(args: &Args, host: &Host) -> Result<HeldCost> {
    let mut shared = Vec::new();
    for _ in 0..args.held.div_ceil(SHARED_BY) {
        shared.push(Streams::connect(&host.address).await?);
    }
    hold(args, host.pid, async |n| {
        let id = host.ask(&mut host.client().await?).await?;
        host.send_shared_poll(&mut shared[n / SHARED_BY].clone(), &id)
            .await
    })
    .await
}

/// What held polls cost a server.
struct HeldCost {
    memory: Quantity,
    cpu: Duration,
}

async fn hold<P>(args: &Args, pid: Pid, begin: impl AsyncFn(usize) -> Result<P>) -> Result<HeldCost> {
    let before = Usage::of(pid)?;
    let polls: Vec<P> = stream::iter(0..args.held)
        .map(|n| begin(n))
        .buffer_unordered(args.clients)
        .try_collect()
        .await?;
    let began = Usage::of(pid)?;
    tokio::time::sleep(WATCHED).await;
    let ended = Usage::of(pid)?;
    drop(polls);
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let memory = ended.rss.saturating_sub(before.rss) as f64;
    Ok(HeldCost {
        memory: Quantity::Bytes(memory),
        cpu: (ended.cpu - began.cpu).total,
    })
}

/// Asks, and begins a poll that the server holds.
async fn hold_poll(host: &Host) -> Result<Client> {
    let mut client = host.client().await?;
    let id = host.ask(&mut client).await?;
    host.send_poll(&mut client, &id).await?;
    Ok(client)
}

/// From an approval until the poll that waits for it has its tokens.
async fn answered(args: &Args, table: &mut Table) -> Result<()> {
    let host = Host::ours("memory:", LONG_POLL).await?;
    let (mut client, mut person) = (host.client().await?, host.client().await?);
    let (mut answered, mut decided) = (Vec::new(), Vec::new());
    for _ in 0..args.approvals {
        let id = host.ask(&mut client).await?;
        host.send_poll(&mut client, &id).await?;
        let start = Instant::now();
        let poll = async {
            let answer = client.answer().await?;
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
            Ok(start.elapsed())
        };
        let decision = async {
            host.approve(&mut person, &id).await?;
            Ok(start.elapsed())
        };
        let (poll, decision) = tokio::try_join!(poll, decision)?;
        answered.push(poll);
        decided.push(decision);
    }
    let [answered, decided] =
        [answered, decided].map(|times| Samples::new(times).context("no approvals to time"));
    let (answered, decided) = (answered?, decided?);
    table.row(
        Row::new("approval to the answered poll, p50", answered.percentile(50))
            .beside("the approval's own answer", decided.percentile(50)),
    );
    table.row(
        Row::new("approval to the answered poll, p99", answered.percentile(99))
            .goal(ANSWERED_MAX)
            .beside("the approval's own answer", decided.percentile(99)),
    );
    Ok(())
}

async fn connections(host: &Host, count: usize) -> Result<Vec<Client>> {
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(host.client().await?);
    }
    Ok(connections)
}

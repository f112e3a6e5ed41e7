//! `ciba-server` with many devices that idle, beside a bare WebSocket server and the real Hocuspocus server: what
//! a connection costs to make, and what it costs to keep.

mod device;
mod fleet;
mod host;

use std::time::Duration;

use anyhow::{Context, Result};
use ciba_tests::{PATIENCE, until};
use clap::ValueEnum;
use rustix::process::Pid;

use crate::measure::procfs::{Cpu, Usage};
use crate::measure::table::{Quantity, Row, Table};
use crate::programs;
use host::Host;

const IDLE_MAX: Quantity = Quantity::Bytes(8.0 * 1024.0 * 1024.0);
const DEVICE_MAX: Quantity = Quantity::Bytes(8.0 * 1024.0);
const CONNECT_MAX: Duration = Duration::from_micros(100);

/// Looks at the processor time, 10 ms apart, between which an idle server does next to nothing.
const QUIET_LOOKS: u32 = 10;

/// What next to nothing is: Node never quite rests.
const QUIET: Duration = Duration::from_micros(500);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Devices, all connected at once
    #[arg(long, default_value_t = 5000)]
    devices: u32,

    /// Devices under way at once while they connect
    #[arg(long, default_value_t = 64)]
    at_once: usize,

    /// Whom to compare with; what cannot run here is left out and said
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["floor", "node"])]
    peer: Vec<Peer>,

    /// The store of `ciba-server`
    #[arg(long, default_value = "sqlite:bench.db")]
    store: String,
}

/// Whom `ciba-server` is compared with.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// A bare axum WebSocket server
    Floor,
    /// The genuine @hocuspocus/server on Node
    Node,
}

/// What one server needed, as the kernel counts it.
struct Cost {
    idle: Usage,
    /// Processor time to begin a session; a peer has no such thing.
    begin: Option<PerDevice>,
    connect: PerDevice,
    /// Memory of a device that is connected and silent.
    device: f64,
    /// The same with all that was made for it before it connected.
    device_and_session: f64,
}

/// Processor time for each device, seconds.
#[derive(Clone, Copy)]
struct PerDevice {
    total: f64,
    system: f64,
}

pub(crate) async fn run(args: &Args) -> Result<Table> {
    programs::build()?;
    let ours = cost(args, Host::ours(&args.store).await?)
        .await
        .context("measuring ciba-server")?;
    let mut table = Table::new("server: ciba-server with idle devices");
    let mut peers = Vec::new();
    for peer in &args.peer {
        match measure(args, *peer).await {
            Ok(cost) => peers.push((peer.name(), cost)),
            Err(error) => table.note(format!("{} could not be measured: {error:#}", peer.name())),
        }
    }
    rows(&ours, &peers).into_iter().for_each(|row| table.row(row));
    table.note(format!(
        "{} devices, {} at once while they connect; store {}",
        args.devices, args.at_once, args.store
    ));
    table.note("connect: from TCP to the doc received (ours, node: upgrade, proof, first sync; floor: upgrade, a message each way)");
    table.note(
        "a device's memory: RSS with all of them minus RSS before the first, handshake's garbage included",
    );
    if peers.iter().any(|(name, _)| *name == Peer::Node.name()) {
        table.note("node: @hocuspocus/server through tests/interop/hocuspocus/server.mjs, which also prints four lines a device");
    }
    Ok(table)
}

async fn measure(args: &Args, peer: Peer) -> Result<Cost> {
    let host = match peer {
        Peer::Floor => Host::floor().await?,
        Peer::Node => Host::node().await?,
    };
    cost(args, host).await
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Node => "node",
        }
    }
}

async fn cost(args: &Args, host: Host) -> Result<Cost> {
    let started = settled(host.pid).await?;
    let passes = host.begin(args.devices, args.at_once).await?;
    let begun = settled(host.pid).await?;
    let fleet = fleet::connect(&host, passes, args.at_once).await?;
    let connected = settled(host.pid).await?;
    drop(fleet);
    Ok(Cost {
        idle: started,
        begin: host
            .begins()
            .then(|| PerDevice::of(begun.cpu - started.cpu, args.devices)),
        connect: PerDevice::of(connected.cpu - begun.cpu, args.devices),
        device: grown(begun, connected, args.devices),
        device_and_session: grown(started, connected, args.devices),
    })
}

/// Waits until the server has nothing left to do.
async fn settled(pid: Pid) -> Result<Usage> {
    let (mut last, mut looks) = (Usage::of(pid)?, 0);
    until("the server to be idle", PATIENCE, async || {
        let now = Usage::of(pid).ok()?;
        looks = if (now.cpu - last.cpu).total < QUIET {
            looks + 1
        } else {
            0
        };
        last = now;
        (looks >= QUIET_LOOKS).then_some(now)
    })
    .await
}

impl PerDevice {
    fn of(cpu: Cpu, devices: u32) -> Self {
        let each = |time: Duration| time.as_secs_f64() / f64::from(devices);
        Self {
            total: each(cpu.total),
            system: each(cpu.system),
        }
    }
}

fn rows(ours: &Cost, peers: &[(&'static str, Cost)]) -> Vec<Row> {
    let row = |what: &str, of: &dyn Fn(&Cost) -> Quantity| {
        let row = Row::new(what, of(ours));
        peers
            .iter()
            .fold(row, |row, (name, cost)| row.beside(*name, of(cost)))
    };
    let mut rows = vec![
        row("idle, nobody connected (RSS)", &|cost| bytes(cost.idle.rss)).goal(IDLE_MAX),
        row("  of it not from files", &|cost| bytes(cost.idle.anonymous)),
        row("memory of an idle device", &|cost| Quantity::Bytes(cost.device)).goal(DEVICE_MAX),
        row("  with all that its session left", &|cost| {
            Quantity::Bytes(cost.device_and_session)
        }),
        row("processor time to connect a device", &|cost| {
            Quantity::Seconds(cost.connect.total)
        })
        .goal(CONNECT_MAX),
        row("  of it in the kernel", &|cost| {
            Quantity::Seconds(cost.connect.system)
        }),
    ];
    if let Some(begin) = ours.begin {
        rows.push(Row::new(
            "processor time to begin a session",
            Quantity::Seconds(begin.total),
        ));
        rows.push(Row::new("  of it in the kernel", Quantity::Seconds(begin.system)));
    }
    rows
}

/// RSS that came for each device.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn grown(before: Usage, after: Usage, devices: u32) -> f64 {
    (after.rss as f64 - before.rss as f64) / f64::from(devices)
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn bytes(count: u64) -> Quantity {
    Quantity::Bytes(count as f64)
}

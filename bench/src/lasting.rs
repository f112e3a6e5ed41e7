//! `cibad` as it lives for weeks: from a kept login to a token, idle, with many logins and many tokens, and with a
//! renewal that hangs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ciba_tests::{Network, PATIENCE, Relay, Server, World, sign_in, until};
use futures_util::future::try_join_all;
use ipc_proto::{Op, Token};
use rustix::process::Pid;
use tokio::time::sleep;

use crate::agent::Agent;
use crate::measure::percentile::Samples;
use crate::measure::procfs::{Usage, voluntary_switches};
use crate::measure::table::{Quantity, Row, Table};
use crate::programs;
use crate::session::{PASSWORD, USERNAME, token};

const COLD_MAX: Duration = Duration::from_millis(150);
const WARM_MAX: Duration = Duration::from_millis(5);
const RSS_MAX: Quantity = Quantity::Bytes(16.0 * 1024.0 * 1024.0);

/// Two a keepalive of 20 s (D-050), milliseconds apart: the ping, and the news that the answer is out.
const WAKES_MAX: Quantity = Quantity::Count(6);
const MINUTE: Duration = Duration::from_secs(60);

/// Seconds that no token lasts: the server is asked for another one.
const LONGER: u64 = 600;

/// Logins that are under way at once.
const AT_ONCE: usize = 5;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Times that the daemon is killed and started again
    #[arg(long, default_value_t = 20)]
    starts: usize,

    /// Logins in one daemon
    #[arg(long, default_value_t = 50)]
    profiles: usize,

    /// Tokens of one login
    #[arg(long, default_value_t = 1000)]
    resources: usize,

    /// Requests while a renewal hangs
    #[arg(long, default_value_t = 1000)]
    requests: usize,
}

/// A login that is kept in a kernel keyring of its own, over a network that can be made bad.
struct Kept {
    world: World,
    relay: Relay,
    _server: Server,
}

impl Kept {
    async fn begin() -> Result<Self> {
        let world = World::with_kernel_keyring().await?;
        let server = world.server_dev().await?;
        let kept = Self {
            relay: Relay::start(&server.url).await?,
            world,
            _server: server,
        };
        kept.log_in("default").await?;
        Ok(kept)
    }

    async fn log_in(&self, profile: &str) -> Result<()> {
        let arguments = ["start", "--url", &self.relay.url, "--profile", profile];
        let login = self.world.begin_login(&arguments).await?;
        sign_in(&login.page, USERNAME, PASSWORD).await?;
        let _ = login.end().await?.success();
        Ok(())
    }

    fn daemon(&self) -> Result<Pid> {
        self.world.daemon().context("no daemon")
    }

    async fn agent(&self) -> Result<Agent> {
        Agent::connect(&self.world.socket()).await
    }
}

pub(crate) async fn run(args: &Args) -> Result<Table> {
    programs::build()?;
    let kept = Kept::begin().await?;
    let cold = cold(&kept, args.starts).await?;
    let wakes = wakes(&kept).await?;
    let warm = while_a_renewal_hangs(&kept, args.requests).await?;
    let tokens = with_tokens(args.resources).await?;
    let logins = with_logins(&kept, args.profiles).await?;

    let mut table = Table::new("lasting: cibad with logins that are kept");
    table.row(Row::new("cold `ciba token`, median", cold.median()).goal(COLD_MAX));
    table.row(Row::new("  at worst", cold.percentile(100)));
    table.row(Row::new("wakes in an idle minute", Quantity::Count(wakes)).goal(WAKES_MAX));
    table.row(Row::new(
        "time to the token while its renewal hangs, p50",
        warm.median(),
    ));
    table.row(
        Row::new(
            "time to the token while its renewal hangs, p99",
            warm.percentile(99),
        )
        .goal(WARM_MAX),
    );
    table.row(Row::new(format!("memory (RSS) with {} tokens", args.resources), tokens).goal(RSS_MAX));
    table.row(Row::new(format!("memory (RSS) with {} logins", args.profiles), logins).goal(RSS_MAX));
    table.note(format!(
        "cold: the whole client, {} times, each after its daemon was killed; the login is in the kernel's keyring, the server on loopback",
        cold.len()
    ));
    table.note("wakes: voluntary context switches of all threads, one login connected; one for the server's ping, often a second when the kernel has sent the answer");
    table.note("hangs: the network takes what the daemon asks and brings no answer; one client waits, another is timed");
    Ok(table)
}

/// How long a client takes that has to start the daemon.
async fn cold(kept: &Kept, starts: usize) -> Result<Samples> {
    let mut times = Vec::with_capacity(starts);
    for _ in 0..starts {
        kept.world.kill_daemon()?;
        let start = Instant::now();
        let _ = kept.world.ciba(&["token"]).await?.success();
        times.push(start.elapsed());
    }
    Samples::new(times).context("no starts to time")
}

/// How often the daemon wakes in a minute of which nobody asks anything.
async fn wakes(kept: &Kept) -> Result<u64> {
    kept.world.until_link("connected").await?;
    let daemon = kept.daemon()?;
    // What the last client has left to do is done by the first keepalive.
    sleep(MINUTE / 3).await;
    let before = voluntary_switches(daemon)?;
    sleep(MINUTE).await;
    Ok(voluntary_switches(daemon)?.saturating_sub(before))
}

/// How long a client takes whose token is valid, while another one waits for a newer token that does not come.
async fn while_a_renewal_hangs(kept: &Kept, requests: usize) -> Result<Samples> {
    kept.relay.set(Network::Silent);
    let mut waiting = kept.agent().await?;
    waiting.send(longer()).await?;
    let mut agent = kept.agent().await?;
    let mut times = Vec::with_capacity(requests);
    for _ in 0..requests {
        let start = Instant::now();
        agent.ask::<Token>(token(None)).await?;
        times.push(start.elapsed());
    }
    kept.relay.set(Network::Good);
    waiting.answer::<Token>().await?;
    Samples::new(times).context("no requests to time")
}

fn longer() -> Op {
    Op::Token {
        profile: None,
        resource: None,
        min_valid: Some(LONGER),
        force: false,
        tool: None,
    }
}

async fn with_tokens(resources: usize) -> Result<Quantity> {
    let kept = Kept::begin().await?;
    let mut agent = kept.agent().await?;
    for number in 0..resources {
        let resource = Some(format!("urn:sap:identity:api:name:demo-{number}"));
        let op = Op::Token {
            profile: None,
            resource,
            min_valid: None,
            force: false,
            tool: None,
        };
        agent.ask::<Token>(op).await?;
    }
    memory(&kept)
}

async fn with_logins(kept: &Kept, profiles: usize) -> Result<Quantity> {
    let names: Vec<_> = (1..profiles).map(|number| format!("p{number}")).collect();
    for names in names.chunks(AT_ONCE) {
        try_join_all(names.iter().map(|name| kept.log_in(name))).await?;
    }
    // As after a reboot: nothing of the logins' own work is left.
    kept.world.kill_daemon()?;
    until("all to be connected", PATIENCE, async || {
        let _ = kept.world.ciba(&["token"]).await.ok()?;
        let status = kept.world.status().await.ok()?;
        let logins = status["profiles"].as_array()?;
        let connected = logins.iter().filter(|login| login["link"] == "connected");
        (connected.count() == profiles).then_some(())
    })
    .await?;
    memory(kept)
}

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn memory(kept: &Kept) -> Result<Quantity> {
    Ok(Quantity::Bytes(Usage::of(kept.daemon()?)?.rss as f64))
}

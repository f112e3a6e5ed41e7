//! The network between daemon and server is cut, slow, silent, or has forgotten the connection (D-050, D-051): what is in
//! memory is served all the while, and the link comes back by itself.

use std::time::Duration;

use anyhow::Result;
use ciba_tests::{Chance, Network, Output, PATIENCE, Relay, Server, World, sign_in, until};
use tokio::time::sleep;

/// Times that each kind of network is met.
const ROUNDS: usize = 2;

/// How long it is bad at most: several attempts to come back.
const BAD: Duration = Duration::from_millis(1000);

/// Longer than two signs of life that are missed, and the pause behind them (D-050).
const NOTICED: Duration = Duration::from_secs(3 * 20 + 30);

/// More than a token lasts: the server is asked for another one each time.
const LONGER: [&str; 3] = ["token", "--min-valid", "10m"];

/// A login over a relay.
pub(crate) struct Remote {
    pub(crate) world: World,
    pub(crate) relay: Relay,
    _server: Server,
}

impl Remote {
    pub(crate) async fn in_world(world: World) -> Result<Self> {
        let server = world.server_dev().await?;
        let relay = Relay::start(&server.url).await?;
        let login = world.begin_login(&["start", "--url", &relay.url]).await?;
        sign_in(&login.page, "alice", "demo").await?;
        let _ = login.end().await?.success();
        Ok(Self {
            world,
            relay,
            _server: server,
        })
    }

    /// Waits for a token that is another one: the server has been asked.
    pub(crate) async fn until_asked(&self) -> Result<()> {
        let old = self.world.ciba(&["token"]).await?.success();
        until("another token", PATIENCE, async || {
            let output = self.world.ciba(&LONGER).await.ok()?;
            (output.code() == Some(0) && output.success() != old).then_some(())
        })
        .await
    }

    /// Asks for a token that is in memory.
    async fn is_served(&self) -> Result<()> {
        self.world
            .ciba(&["token"])
            .await
            .map(|token| drop(token.success()))
    }
}

#[tokio::test]
async fn d_050_d_051_a_bad_network_costs_nothing_that_is_in_memory_and_heals() -> Result<()> {
    let remote = Remote::in_world(World::new()?).await?;
    let mut chance = Chance::drawn();
    let slow = Network::Slow(Duration::from_millis(200));
    for network in [Network::Cut, Network::Silent, slow].repeat(ROUNDS) {
        let mut asking = remote.world.spawn_ciba(&LONGER)?;
        sleep(chance.within(BAD / 10)).await;
        remote.relay.set(network);
        remote.is_served().await?;
        sleep(chance.within(BAD)).await;
        remote.is_served().await?;
        remote.relay.set(Network::Good);
        // It has its token, or has heard that the server is not to be had.
        let asked = Output::of(&mut asking).await?;
        assert!(matches!(asked.code(), Some(0 | 4)), "{network:?}: {asked:?}");
        remote.world.until_link("connected").await?;
        remote.until_asked().await?;
    }
    Ok(())
}

#[tokio::test]
async fn d_050_a_connection_that_only_one_end_believes_in_is_made_anew() -> Result<()> {
    let remote = Remote::in_world(World::new()?).await?;
    let before = remote.relay.sockets();
    remote.relay.forget_connections();
    remote.is_served().await?;
    until("another connection", NOTICED, async || {
        (remote.relay.sockets() > before).then_some(())
    })
    .await?;
    remote.until_asked().await
}

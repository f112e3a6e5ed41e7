//! The network between daemon and server is cut, slow, silent, or has forgotten the connection (D-050, D-051): what is in
//! memory is served all the while, and the link comes back by itself.

use std::time::Duration;

use anyhow::Result;
use ciba_tests::{Chance, Network, PATIENCE, Relay, Server, World, sign_in, until};
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
            (output.success() != old).then_some(())
        })
        .await
    }

    /// Asks for tokens, of which one is in memory and the other is not to be had, and gets them.
    async fn is_served(&self) -> Result<()> {
        let _ = self.world.ciba(&["token"]).await?.success();
        let _ = self.world.ciba(&LONGER).await?.success();
        Ok(())
    }
}

#[tokio::test]
async fn d_050_d_051_a_bad_network_costs_nothing_that_is_in_memory_and_heals() -> Result<()> {
    let remote = Remote::in_world(World::new()?).await?;
    let mut chance = Chance::drawn();
    let slow = Network::Slow(Duration::from_millis(200));
    for network in [Network::Cut, Network::Silent, slow].repeat(ROUNDS) {
        let (moment, bad) = (chance.within(BAD / 10), chance.within(BAD));
        // In the middle of an ask.
        let (asked, ()) = tokio::join!(remote.world.ciba(&LONGER), async {
            sleep(moment).await;
            remote.relay.set(network);
        });
        let _ = asked?.success();
        remote.is_served().await?;
        sleep(bad).await;
        remote.is_served().await?;
        remote.relay.set(Network::Good);
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

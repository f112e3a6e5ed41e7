//! The servers under the same load: ours, the bare one, the real Hocuspocus.

use anyhow::{Context, Result};
use ciba_tests::{PATIENCE, PeerServer, Process, Server, World};
use device_proto::challenge::SECRET_LEN;
use device_proto::{Challenge, RequestId};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::Client;
use rustix::process::Pid;
use serde::Deserialize;

use crate::floor;

/// Logins a minute from one address, so that the limit is not what is measured.
const NO_LIMIT: u32 = 100_000_000;

/// A server, running. Dropping it ends it.
pub(super) struct Host {
    pub(super) pid: Pid,
    /// Where its sockets are: an address and a path.
    pub(super) address: String,
    pub(super) path: &'static str,
    pub(super) dialogue: Dialogue,
    kind: Kind,
}

/// What is said on a new socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialogue {
    /// A device's proof, and its first sync.
    Device,
    /// One message each way.
    Echo,
}

/// What is running.
enum Kind {
    Ours { server: Server, _world: World },
    Floor { _process: Process },
    Node { _server: PeerServer },
}

/// A session, and the secret that proves it.
pub(super) struct Pass {
    pub(super) session: RequestId,
    pub(super) secret: [u8; SECRET_LEN],
}

impl Host {
    pub(super) async fn ours(store: &str) -> Result<Self> {
        let world = World::new()?;
        // Nobody signs in here, so there need not be a provider.
        let server = world
            .server(&format!(
                "listen = \"127.0.0.1:0\"\n[store]\nurl = \"{store}\"\n[login]\nissuer = \"http://127.0.0.1:9\"\nclient_id = \"bench\"\n[limits]\nlogins_per_minute = {NO_LIMIT}\n"
            ))
            .await?;
        Ok(Self {
            pid: server.process.pid().context("ciba-server has ended")?,
            address: server.url.trim_start_matches("http://").to_owned(),
            path: "/sync/device",
            dialogue: Dialogue::Device,
            kind: Kind::Ours {
                server,
                _world: world,
            },
        })
    }

    pub(super) async fn floor() -> Result<Self> {
        let mut process = Process::spawn(floor::server::command()?)?;
        let address = process
            .wait_line("its address", PATIENCE, |line| Some(line.to_owned()))
            .await?;
        Ok(Self {
            pid: process.pid().context("the floor has ended")?,
            address,
            path: "/",
            dialogue: Dialogue::Echo,
            kind: Kind::Floor { _process: process },
        })
    }

    pub(super) async fn node() -> Result<Self> {
        let mut server = PeerServer::start("any", &["--read-only"]).await?;
        Ok(Self {
            pid: server.script.process().pid().context("node has ended")?,
            address: server.url.trim_start_matches("ws://").to_owned(),
            path: "/",
            dialogue: Dialogue::Device,
            kind: Kind::Node { _server: server },
        })
    }

    /// Whether a session has to be begun before a device can connect.
    pub(super) fn begins(&self) -> bool {
        matches!(self.kind, Kind::Ours { .. })
    }

    /// Makes sessions; a peer takes any name and any secret.
    pub(super) async fn begin(&self, devices: u32, at_once: usize) -> Result<Vec<Pass>> {
        let Kind::Ours { server, .. } = &self.kind else {
            return (0..devices)
                .map(|_| {
                    Ok(Pass {
                        session: RequestId::from_random(random()?),
                        secret: random()?,
                    })
                })
                .collect();
        };
        let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let url = format!("{}/auth/par/authorize", server.url);
        let begun = stream::iter(0..devices)
            .map(|_| begin(&client, &url))
            .buffer_unordered(at_once);
        begun.try_collect().await
    }
}

async fn begin(client: &Client, url: &str) -> Result<Pass> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Begun {
        request_id: RequestId,
    }
    let secret = random()?;
    let body = serde_json::json!({ "verifier": Challenge::new(&secret).verifier(), "deviceName": "bench" });
    let response = client.post(url).json(&body).send().await?.error_for_status()?;
    let Begun { request_id: session } = response.json().await?;
    Ok(Pass { session, secret })
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

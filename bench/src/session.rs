//! `ciba-server dev`, `cibad` and a login between them: where the measurements of client and daemon begin.

use anyhow::{Context, Result, bail};
use ciba_tests::{PATIENCE, Process, Server, World, sign_in, until};
use ipc_proto::{Event, Message, Op, ProfileName, Started, Token};
use rustix::process::Pid;

use crate::agent::Agent;

/// A person of the built-in identity provider.
pub(crate) const USERNAME: &str = "alice";
/// Everybody's password there.
pub(crate) const PASSWORD: &str = "demo";

/// The programs, running, with one login. Dropping it ends them.
pub(crate) struct Session {
    daemon: Process,
    server: Server,
    pub(crate) world: World,
}

impl Session {
    /// Starts all of it in a home of its own, and logs in.
    pub(crate) async fn start() -> Result<Self> {
        let world = World::new()?;
        let server = world.server_dev().await?;
        let daemon = world.spawn_cibad(&[])?;
        let session = Self {
            daemon,
            server,
            world,
        };
        let mut agent = until("the daemon", PATIENCE, async || session.agent().await.ok()).await?;
        let page = session.begin_login(&mut agent, None).await?;
        sign_in(&page, USERNAME, PASSWORD).await?;
        agent.answer::<Started>().await?;
        Ok(session)
    }

    /// The daemon's process.
    pub(crate) fn daemon(&self) -> Result<Pid> {
        self.daemon.pid().context("the daemon has ended")
    }

    /// A new connection to the daemon.
    pub(crate) async fn agent(&self) -> Result<Agent> {
        Agent::connect(&self.world.socket()).await
    }

    /// Begins a login and returns the page a person would open; the answer is still to come.
    pub(crate) async fn begin_login(
        &self,
        agent: &mut Agent,
        profile: Option<ProfileName>,
    ) -> Result<String> {
        let url = self.server.url.clone();
        let op = Op::Start {
            url,
            profile,
            resource: None,
            one_shot: false,
            keychain: None,
        };
        agent.send(op).await?;
        loop {
            match agent.message::<Started>().await? {
                Message::Event(Event::Authorize { url, .. }) => return Ok(url),
                Message::Event(_) | Message::UnknownEvent => {}
                Message::Failure(failure) => bail!("the daemon says: {failure}"),
                Message::Answer(_) => bail!("logged in without a login"),
            }
        }
    }
}

/// What `ciba token` asks.
pub(crate) fn token(profile: Option<ProfileName>) -> Op {
    Op::Token {
        profile,
        resource: None,
        min_valid: None,
        force: false,
        tool: None,
    }
}

/// What is printed of a token, and what a floor answers with: as many bytes.
pub(crate) async fn token_length(session: &Session) -> Result<usize> {
    let token: Token = session.agent().await?.ask(token(None)).await?;
    Ok(token.access_token.expose().len())
}

//! The daemon, the server or both are killed at any moment of whatever they do.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ciba_tests::{Chance, Output, PATIENCE, Server, World, assert_none_anywhere, confirm};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::site::{Site, UNASKED};

/// Kills of [`d_032_d_053_killed_at_any_moment_of_anything`]; `CIBA_TEST_KILLS` asks for fewer.
const KILLS: usize = 200;

/// Kills while tokens are asked for, of each victim.
const ROUNDS: usize = 5;

/// The most that one thing takes on an idle machine, and a little more: a kill may come too late.
const MOMENT: Duration = Duration::from_millis(120);

/// Exchanged on first use.
const OTHER: &str = "urn:sap:identity:api:name:my-api";
const AUDIENCE: &str = "my-api";

/// More than a token lasts: each time it costs a renewal.
const LONGER: &str = "10m";

/// The exit status of a client that wants a login.
const LOGIN_REQUIRED: i32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    LogIn,
    Token,
    Renew,
    Add,
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Daemon,
    Server,
    Both,
}

/// A user's login at a server, whatever happens to both.
struct Life {
    site: Site,
    server: Server,
    chance: Chance,
    /// The challenge of each login.
    challenges: BTreeSet<String>,
}

impl Life {
    /// Begins without a login. The refresh token rotates or not: a server that dies between the provider's answer and its
    /// own disk has lost a rotated one, and nobody can have it again.
    async fn begin(rotates: bool) -> Result<Self> {
        let rotate = if rotates { "true" } else { "false" };
        let options = ["--resource", AUDIENCE, "--rotate", rotate];
        let mut site = Site::new(&[&UNASKED[..], &options].concat()).await?;
        site.world = World::with_kernel_keyring().await?;
        let server = site.server().await?;
        Ok(Self {
            site,
            server,
            chance: Chance::new(),
            challenges: BTreeSet::new(),
        })
    }

    /// Logs in, or shows that this cannot be done at once; a page that is not come to is left.
    async fn log_in(&self) -> Result<Option<i32>> {
        let arguments = ["start", "--url", &self.server.url, "--no-browser"];
        let mut client = self.site.world.spawn_ciba(&arguments)?;
        client.close_stdin();
        let page = |line: &str| line.trim().starts_with("http").then(|| line.trim().to_owned());
        let page = client.wait_line("a page", PATIENCE, page).await;
        let signed_in = match page {
            Ok(page) => timeout(PATIENCE, confirm(&page)).await?.is_ok(),
            Err(_) => true,
        };
        // The person gives up.
        if !signed_in {
            let _ = client.signal(Signal::INT);
        }
        Ok(client.exit(PATIENCE).await?.code())
    }

    async fn logged_in(&mut self) -> Result<()> {
        ensure!(self.log_in().await? == Some(0), "a login");
        for login in self.site.world.kernel_logins().await? {
            let challenge = login["challenge"].as_str().context("a challenge")?;
            self.challenges.insert(challenge.to_owned());
        }
        Ok(())
    }

    async fn token(&self) -> Result<Output> {
        self.site.world.ciba(&["token"]).await
    }

    /// Returns the exit status.
    async fn does(&self, doing: Doing) -> Result<Option<i32>> {
        let world = &self.site.world;
        let output = match doing {
            Doing::LogIn => return self.log_in().await,
            Doing::Token => self.token().await?,
            Doing::Renew => world.ciba(&["token", "--min-valid", LONGER]).await?,
            Doing::Add => world.ciba(&["add", "--resource", OTHER]).await?,
            Doing::Stop => world.ciba(&["stop"]).await?,
        };
        Ok(output.code())
    }

    /// Kills the victim in the middle of it, and brings the server back. Returns the exit status of what was done.
    async fn killed(&mut self, doing: Doing, victim: Victim) -> Result<Option<i32>> {
        let after = self.chance.within(MOMENT);
        let kill = async {
            sleep(after).await;
            self.kill(victim)
        };
        let (done, killed) = tokio::join!(self.does(doing), kill);
        killed?;
        if victim != Victim::Daemon {
            self.server.process.exit(PATIENCE).await?;
            self.server = self.site.server().await?;
        }
        done
    }

    fn kill(&self, victim: Victim) -> Result<()> {
        if victim != Victim::Server && self.site.world.daemon().is_some() {
            // It may be leaving by itself.
            let _ = self.site.world.kill_daemon();
        }
        if victim != Victim::Daemon {
            self.server.process.signal(Signal::KILL)?;
        }
        Ok(())
    }

    async fn logins(&self) -> Result<Value> {
        Ok(self.site.idp.state().await?["requests"]["GET /auth"].clone())
    }

    fn assert_nothing_is_written(&self) -> Result<()> {
        let written = self.site.world.everything_written()?;
        // These alone print a token, and on purpose.
        let prints_a_token = |place: &str| place.starts_with("stdout of") && place.contains("ciba token");
        let (tokens, others): (Vec<_>, Vec<_>) =
            written.into_iter().partition(|text| prints_a_token(&text.place));
        let tokens: Vec<_> = tokens
            .iter()
            .filter_map(|token| signature(&token.bytes))
            .collect();
        ensure!(!tokens.is_empty(), "there were tokens");
        let secrets = self.challenges.iter().map(String::as_bytes).chain(tokens);
        assert_none_anywhere(secrets, &others);
        Ok(())
    }
}

/// The last part of a JWT; the others are no secret.
fn signature(jwt: &[u8]) -> Option<&[u8]> {
    let dot = jwt.iter().rposition(|byte| *byte == b'.')?;
    Some(jwt[dot + 1..].trim_ascii())
}

#[tokio::test]
async fn d_032_d_053_whoever_is_killed_the_next_token_needs_no_login() -> Result<()> {
    let mut life = Life::begin(false).await?;
    life.logged_in().await?;
    let logins = life.logins().await?;
    for victim in [Victim::Daemon, Victim::Server, Victim::Both].repeat(ROUNDS) {
        for doing in [Doing::Token, Doing::Renew] {
            life.killed(doing, victim).await?;
            let token = life.token().await?;
            assert_eq!(token.code(), Some(0), "{victim:?} during {doing:?}: {token:?}");
        }
    }
    assert_eq!(life.logins().await?, logins, "nobody logged in again");
    life.assert_nothing_is_written()
}

#[tokio::test]
async fn d_032_d_053_killed_at_any_moment_of_anything() -> Result<()> {
    let kills = std::env::var("CIBA_TEST_KILLS").map_or(Ok(KILLS), |kills| kills.parse())?;
    let mut life = Life::begin(true).await?;
    let mut is_logged_in = false;
    for kill in 0..kills {
        let doing = match is_logged_in {
            true => life
                .chance
                .one_of(&[Doing::Token, Doing::Renew, Doing::Add, Doing::Stop]),
            false => Doing::LogIn,
        };
        let victim = life
            .chance
            .one_of(&[Victim::Daemon, Victim::Daemon, Victim::Daemon, Victim::Server]);
        let what = format!("kill {kill}: {victim:?} during {doing:?}");
        let done = life.killed(doing, victim).await.context(what.clone())?;
        let token = life.token().await?;
        let may_be_gone = match doing {
            Doing::LogIn => done != Some(0),
            Doing::Stop => true,
            Doing::Renew => victim == Victim::Server,
            Doing::Token | Doing::Add => false,
        };
        match token.code() {
            Some(0) => {
                assert!(
                    doing != Doing::Stop || done != Some(0),
                    "{what}: a login that was ended goes on"
                );
                is_logged_in = true;
            }
            Some(LOGIN_REQUIRED) if may_be_gone => is_logged_in = false,
            _ => panic!("{what}, which ended with {done:?}: {token:?}"),
        }
        if !is_logged_in {
            life.logged_in().await.context(what)?;
            is_logged_in = life.chance.one_of(&[true, true, false]);
            if !is_logged_in {
                let _ = life.site.world.ciba(&["stop"]).await?.success();
            }
        }
    }
    life.assert_nothing_is_written()
}

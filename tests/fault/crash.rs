//! The daemon, the server or both are killed at any moment of whatever they do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ciba_tests::{Chance, Output, PATIENCE, Server, World, assert_none_anywhere, confirm};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::site::{Site, UNASKED};

/// Kills of [`d_032_d_053_killed_at_any_moment_of_anything`]; `CIBA_TEST_KILLS` asks for fewer.
const KILLS: usize = 200;

/// Kills of one login; the next one is killed while it begins.
const LONGEST_STORY: usize = 6;

/// Kills while tokens are asked for, of each victim.
const ROUNDS: usize = 5;

/// Exchanged on first use.
const OTHER: &str = "urn:sap:identity:api:name:my-api";
const AUDIENCE: &str = "my-api";

/// More than a token lasts: each time it costs a renewal.
const LONGER: &str = "10m";

/// The exit status of a client that wants a login.
const LOGIN_REQUIRED: i32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// How long each takes when no program is killed.
    lasts: BTreeMap<Doing, Duration>,
    /// The challenge of each login.
    challenges: BTreeSet<String>,
}

impl Life {
    /// Begins without a login. The refresh token rotates or not: a server that dies between the provider's answer and its
    /// own disk has lost a rotated one, and it cannot be had again.
    async fn begin(rotates: bool) -> Result<Self> {
        let rotate = if rotates { "true" } else { "false" };
        let options = ["--resource", AUDIENCE, "--rotate", rotate];
        let mut site = Site::new(&[&UNASKED[..], &options].concat()).await?;
        site.world = World::with_kernel_keyring().await?;
        let server = site.server().await?;
        let mut life = Self {
            site,
            server,
            chance: Chance::drawn(),
            lasts: BTreeMap::new(),
            challenges: BTreeSet::new(),
        };
        for doing in [Doing::LogIn, Doing::Token, Doing::Renew, Doing::Add, Doing::Stop] {
            let began = Instant::now();
            ensure!(life.does(doing).await? == Some(0), "{doing:?}");
            life.lasts.insert(doing, began.elapsed());
        }
        Ok(life)
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
        let after = self.chance.within(self.lasts[&doing] * 5 / 4);
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
async fn d_052_d_053_a_login_whose_daemon_was_killed_is_ended() -> Result<()> {
    let mut life = Life::begin(true).await?;
    life.logged_in().await?;
    life.site.world.kill_daemon()?;
    let stopped = life.site.world.ciba(&["stop"]).await?;
    assert_eq!(life.site.world.kernel_logins().await?.len(), 0, "{stopped:?}");
    assert_eq!(life.token().await?.code(), Some(LOGIN_REQUIRED));
    Ok(())
}

/// What has happened to one login, the last kill last.
#[derive(Debug, Default)]
struct Story {
    was_begun: bool,
    kills: Vec<(Doing, Victim)>,
}

impl Story {
    fn goes_on(&mut self, chance: &mut Chance) -> (Doing, Victim) {
        let victim = chance.one_of(&[Victim::Daemon, Victim::Daemon, Victim::Daemon, Victim::Server]);
        let doing = match std::mem::replace(&mut self.was_begun, true) {
            true => chance.one_of(&[Doing::Token, Doing::Renew, Doing::Add, Doing::Stop]),
            false => Doing::LogIn,
        };
        self.kills.push((doing, victim));
        (doing, victim)
    }

    /// Whether the login was ended, by a client that `ended` so.
    fn was_ended(&self, ended: Option<i32>) -> bool {
        matches!(self.kills.last(), Some((Doing::Stop, _))) && ended == Some(0)
    }

    /// Whether a login may be needed. A client that said that a person is logged in has to be right.
    fn may_be_over(&self, ended: Option<i32>) -> bool {
        let lost_a_rotated_token =
            |(doing, victim): &(Doing, Victim)| (*doing, *victim) == (Doing::Renew, Victim::Server);
        match self.kills.last() {
            Some((Doing::LogIn, _)) => ended != Some(0),
            Some((Doing::Stop, _)) => true,
            _ => self.kills.iter().any(lost_a_rotated_token),
        }
    }
}

#[tokio::test]
async fn d_032_d_053_killed_at_any_moment_of_anything() -> Result<()> {
    let kills = std::env::var("CIBA_TEST_KILLS").map_or(Ok(KILLS), |kills| kills.parse())?;
    let mut life = Life::begin(true).await?;
    let mut story = Story::default();
    for _ in 0..kills {
        let (doing, victim) = story.goes_on(&mut life.chance);
        let ended = life
            .killed(doing, victim)
            .await
            .with_context(|| format!("{story:?}"))?;
        let token = life.token().await?;
        match token.code() {
            Some(0) => assert!(!story.was_ended(ended), "{story:?}: it goes on"),
            Some(LOGIN_REQUIRED) => {
                assert!(story.may_be_over(ended), "{story:?}, and {ended:?}: {token:?}");
                life.logged_in().await.with_context(|| format!("{story:?}"))?;
                story = Story {
                    was_begun: true,
                    kills: Vec::new(),
                };
            }
            _ => panic!("{story:?}, and {ended:?}: {token:?}"),
        }
        if story.kills.len() >= LONGEST_STORY {
            let _ = life.site.world.ciba(&["stop"]).await?.success();
            story = Story::default();
        }
    }
    life.assert_nothing_is_written()
}

//! The provider is down while tokens come due (D-042, D-043, D-051), or takes the login back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ciba_tests::{Chance, PATIENCE, Process, Server, confirm, until};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::site::{Site, UNASKED};

/// How long the provider's access tokens last.
const SHORT: [&str; 2] = ["--at-ttl", "10"];

/// How long the provider stays down after a renewal has failed, at most.
const DOWN: Duration = Duration::from_secs(2);

/// Any token that is still valid.
const VALID: [&str; 3] = ["token", "--min-valid", "0s"];

/// More than a token lasts: the server has to ask.
const LONGER: [&str; 3] = ["token", "--min-valid", "10m"];

struct LoggedIn {
    site: Site,
    _server: Server,
    /// What `ciba watch --json` prints from the login on.
    events: Process,
}

impl LoggedIn {
    async fn new() -> Result<Self> {
        let site = Site::new(&[&UNASKED[..], &SHORT].concat()).await?;
        let server = site.server().await?;
        let login = site.world.begin_login(&["start", "--url", &server.url]).await?;
        let mut events = site.world.spawn_ciba(&["watch", "--json"])?;
        confirm(&login.page).await?;
        let _ = login.end().await?.success();
        event(&mut events, "token").await?;
        Ok(Self {
            site,
            _server: server,
            events,
        })
    }

    /// Asks for a token until the time comes at which one ends: a client that asks before gets it.
    async fn is_served(&self, token: &str, is_over: impl Fn() -> bool) -> Result<()> {
        let end = end_of(token)?;
        while !is_over() {
            let output = self.site.world.ciba(&VALID).await?;
            if now() >= end {
                return Ok(());
            }
            assert_eq!(output.success(), token);
        }
        Ok(())
    }

    async fn renewals(&self) -> Option<u64> {
        self.site.idp.state().await.ok()?["requests"]["POST /token"].as_u64()
    }
}

async fn event(events: &mut Process, name: &str) -> Result<Value> {
    events
        .wait_json(name, PATIENCE, |event| event["event"] == name)
        .await
}

/// When a JWT ends, Unix seconds.
fn end_of(jwt: &str) -> Result<u64> {
    let part = jwt.split('.').nth(1).context("a JWT")?;
    let decoded = Base64UrlUnpadded::decode_vec(part).ok().context("base64url")?;
    let claims: Value = serde_json::from_slice(&decoded)?;
    claims["exp"].as_u64().context("exp")
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[tokio::test]
async fn d_042_d_043_d_051_a_provider_that_is_down_costs_no_valid_token_and_later_ones_come_unasked()
-> Result<()> {
    let modes = [
        json!({ "path": "/token", "mode": "status", "status": 503, "times": 0 }),
        json!({ "path": "/token", "mode": "reset", "times": 0 }),
        json!({ "path": "/token", "mode": "hang", "times": 0 }),
    ];
    let mut chance = Chance::drawn();
    let faults = modes.into_iter().map(|mode| is_down(mode, chance.within(DOWN)));
    try_join_all(faults).await.map(drop)
}

async fn is_down(mode: Value, down: Duration) -> Result<()> {
    let mut login = LoggedIn::new().await?;
    let token = login.site.world.ciba(&VALID).await?.success();
    let before = login.renewals().await;
    login.site.idp.fail(&mode).await?;
    until("a renewal that fails", PATIENCE, async || {
        (login.renewals().await > before).then_some(())
    })
    .await?;
    let over = Instant::now() + down;
    login.is_served(&token, || Instant::now() >= over).await?;
    login.site.idp.clear().await?;
    event(&mut login.events, "token")
        .await
        .context(mode.to_string())?;
    assert_ne!(login.site.world.ciba(&VALID).await?.success(), token);
    Ok(())
}

#[tokio::test]
async fn d_043_a_login_that_was_taken_back_is_said_at_once_and_its_last_token_served_to_the_end() -> Result<()>
{
    let mut login = LoggedIn::new().await?;
    let token = login.site.world.ciba(&VALID).await?.success();
    login.site.idp.revoke(None).await?;
    let asked = login.site.world.ciba(&LONGER).await?;
    assert!(matches!(asked.code(), Some(0 | 3)), "{asked:?}");
    let failed = |event: &Value| event["state"] == "failed";
    let told = login.events.wait_json("the failure", PATIENCE, failed).await?;
    assert_eq!(told["error"]["code"], "login_required", "{told}");
    login.is_served(&token, || false).await?;
    let refused = login.site.world.ciba(&VALID).await?;
    assert_eq!(refused.code(), Some(3), "{refused:?}");
    assert!(refused.stderr.contains("ciba start --url"), "{refused:?}");
    Ok(())
}

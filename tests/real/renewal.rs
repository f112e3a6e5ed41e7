//! Tokens that end after seconds, at a provider that rotates refresh tokens: one login, and tokens keep coming (D-043).

use std::collections::BTreeSet;

use anyhow::Result;
use ciba_tests::{Output, PATIENCE, Server, confirm, outcome, until};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::site::{Site, UNASKED};

/// How long the provider's access tokens last.
const SHORT: [&str; 4] = ["--at-ttl", "5", "--rotate", "true"];

/// Any token that is still valid.
const VALID: [&str; 3] = ["token", "--min-valid", "0s"];

/// Lifetimes that a person does not notice.
const LIFETIMES: usize = 3;

/// Clients at once.
const CLIENTS: usize = 10;

async fn logged_in() -> Result<(Site, Server)> {
    let site = Site::new(&[UNASKED, SHORT].concat()).await?;
    let server = site.server().await?;
    let login = site.world.begin_login(&["start", "--url", &server.url]).await?;
    confirm(&login.page).await?;
    let _ = login.end().await?.success();
    Ok((site, server))
}

/// Asks until there is another token than `old`.
async fn other_token(site: &Site, old: &str) -> Result<String> {
    until("another token", PATIENCE, async || {
        let output = site.world.ciba(&VALID).await.ok()?;
        let token = output.success();
        (token != old).then_some(token)
    })
    .await
}

async fn calls(site: &Site) -> Result<Value> {
    Ok(site.idp.state().await?["requests"].clone())
}

#[tokio::test]
async fn d_043_tokens_keep_coming_for_several_lifetimes_without_a_login() -> Result<()> {
    let (site, _server) = logged_in().await?;
    let before = calls(&site).await?;
    let mut token = site.world.ciba(&VALID).await?.success();
    for _ in 0..LIFETIMES {
        token = other_token(&site, &token).await?;
    }
    let after = calls(&site).await?;
    assert_eq!(
        before["GET /auth"], after["GET /auth"],
        "nobody logged in: {after}"
    );
    assert_eq!(
        renewals(&before, &after),
        LIFETIMES as u64,
        "one call a lifetime: {after}"
    );
    Ok(())
}

#[tokio::test]
async fn d_040_many_clients_at_once_cost_one_call() -> Result<()> {
    let (site, _server) = logged_in().await?;
    let first = site.world.ciba(&VALID).await?.success();
    // From here on a renewal is good for every client that asks.
    site.idp.set(&json!({ "atTtl": 300 })).await?;
    let before = calls(&site).await?;
    let asks = (0..CLIENTS).map(|_| site.world.ciba(&["token", "--min-valid", "60s"]));
    let tokens: Vec<_> = try_join_all(asks)
        .await?
        .into_iter()
        .map(Output::success)
        .collect();
    // A client that is held up for long is given the token that still lasts.
    let new: BTreeSet<_> = tokens.iter().filter(|token| **token != first).collect();
    assert_eq!(new.len(), 1);
    assert_eq!(renewals(&before, &calls(&site).await?), 1);
    Ok(())
}

#[tokio::test]
async fn d_043_a_login_that_the_provider_ended_asks_for_a_new_one() -> Result<()> {
    let (site, server) = logged_in().await?;
    site.idp.revoke(None).await?;
    let refused = until("the refusal", PATIENCE, async || {
        let output = site.world.ciba(&VALID).await.ok()?;
        (output.code() != Some(0)).then_some(output)
    })
    .await?;
    assert_eq!((refused.code(), &*refused.stdout), (Some(3), ""), "{refused:?}");
    let hint = format!("ciba start --url {}", server.url);
    assert!(refused.stderr.contains(&hint), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn d_042_a_provider_that_fails_for_a_while_costs_no_login() -> Result<()> {
    let (site, _server) = logged_in().await?;
    let token = site.world.ciba(&VALID).await?.success();
    let before = calls(&site).await?;
    for fault in [
        json!({ "path": "/token", "mode": "status", "status": 503, "times": 0 }),
        json!({ "path": "/token", "mode": "truncate", "times": 0 }),
    ] {
        site.idp.fail(&fault).await?;
        let refused = until("the refusal", PATIENCE, async || {
            let output = site.world.ciba(&VALID).await.ok()?;
            (output.code() != Some(0)).then_some(output)
        });
        assert_eq!(refused.await?.code(), Some(4), "{fault}");
        site.idp.clear().await?;
        let newer = until("a token again", PATIENCE, async || {
            let output = site.world.ciba(&VALID).await.ok()?;
            (output.code() == Some(0)).then(|| output.success())
        });
        // The provider would end the login if a refresh token came twice.
        assert_ne!(newer.await?, token, "{fault}");
    }
    assert_eq!(before["GET /auth"], json!(1));
    assert_eq!(
        calls(&site).await?["GET /auth"],
        Value::Null,
        "nobody logged in since"
    );
    Ok(())
}

#[tokio::test]
async fn d_044_stop_revokes_both_tokens_at_the_provider() -> Result<()> {
    let site = Site::new(&[&UNASKED[..], &["--at-format", "opaque"]].concat()).await?;
    let server = site.server().await?;
    let login = site.world.begin_login(&["start", "--url", &server.url]).await?;
    let page = login.page.clone();
    confirm(&page).await?;
    let _ = login.end().await?.success();
    let token = site.world.ciba(&["token"]).await?.success();
    assert_eq!(introspected(&site, &token).await?["active"], true);
    let _ = site.world.ciba(&["stop"]).await?.success();
    assert_eq!(introspected(&site, &token).await?["active"], false);
    assert_eq!(calls(&site).await?["POST /token/revocation"], 2);
    assert_eq!(outcome(&page).await?, "expired", "the record is gone");
    site.world.until_no_daemon().await
}

/// Asks the provider about a token (RFC 7662).
async fn introspected(site: &Site, token: &str) -> Result<Value> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let asked = http
        .post(format!("{}/token/introspection", site.idp.issuer))
        .basic_auth(&site.idp.client_id, Some(&site.idp.client_secret))
        .form(&[("token", token)]);
    Ok(asked.send().await?.error_for_status()?.json().await?)
}

/// Returns how often the token endpoint was asked in between.
fn renewals(before: &Value, after: &Value) -> u64 {
    let asked = |counts: &Value| counts["POST /token"].as_u64().unwrap_or(0);
    asked(after) - asked(before)
}

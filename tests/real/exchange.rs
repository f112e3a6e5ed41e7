//! Tokens of other resources (D-041, D-042): asked for by `ciba token --resource`, exchanged at a provider that is not ours.

use anyhow::{Context, Result};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ciba_tests::{PATIENCE, Server, confirm, until};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::site::{RESOURCE, Site, UNASKED};

/// Exchanged for an audience.
const API: &str = "urn:sap:identity:api:name:my-api";
const AUDIENCE: &str = "my-api";

/// Exchanged for a resource.
const APPLICATION: &str = "urn:sap:identity:application:provider:name:my-app";

/// Clients at once.
const CLIENTS: usize = 10;

async fn logged_in(arguments: &[&str]) -> Result<(Site, Server)> {
    let targets = ["--resource", AUDIENCE, "--resource", APPLICATION];
    let site = Site::new(&[&UNASKED[..], &targets].concat()).await?;
    let server = site.server().await?;
    let start = [&["start", "--url", &server.url], arguments].concat();
    let login = site.world.begin_login(&start).await?;
    confirm(&login.page).await?;
    let _ = login.end().await?.success();
    Ok((site, server))
}

/// Returns the token of a resource.
async fn token(site: &Site, resource: &str) -> Result<String> {
    Ok(site
        .world
        .ciba(&["token", "--resource", resource])
        .await?
        .success())
}

/// Returns what a JWT says about itself; its signature is the API's to check.
fn claims(jwt: &str) -> Result<Value> {
    let part = jwt.split('.').nth(1).context("a JWT")?;
    let decoded = Base64UrlUnpadded::decode_vec(part).ok().context("base64url")?;
    Ok(serde_json::from_slice(&decoded)?)
}

async fn calls(site: &Site) -> Result<u64> {
    Ok(site.idp.state().await?["requests"]["POST /token"]
        .as_u64()
        .unwrap_or(0))
}

#[tokio::test]
async fn d_041_each_kind_of_resource_gets_its_token_on_first_use_and_keeps_it() -> Result<()> {
    let (site, _server) = logged_in(&[]).await?;
    assert_eq!(claims(&token(&site, RESOURCE).await?)?["aud"], RESOURCE);
    let before = calls(&site).await?;
    for (resource, audience) in [(API, AUDIENCE), (APPLICATION, APPLICATION)] {
        let first = token(&site, resource).await?;
        let claims = claims(&first)?;
        assert_eq!(
            (&claims["aud"], &claims["sub"]),
            (&json!(audience), &json!("alice"))
        );
        assert_eq!(token(&site, resource).await?, first);
    }
    assert_eq!(calls(&site).await? - before, 2, "one exchange each");
    Ok(())
}

#[tokio::test]
async fn d_040_many_who_want_one_resource_cost_one_exchange() -> Result<()> {
    let (site, _server) = logged_in(&[]).await?;
    let before = calls(&site).await?;
    let tokens = try_join_all((0..CLIENTS).map(|_| token(&site, API))).await?;
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(calls(&site).await? - before, 1);
    Ok(())
}

#[tokio::test]
async fn d_041_a_login_may_begin_with_a_resource_that_is_exchanged() -> Result<()> {
    let (site, _server) = logged_in(&["--resource", API]).await?;
    let before = calls(&site).await?;
    assert_eq!(claims(&token(&site, API).await?)?["aud"], AUDIENCE);
    assert_eq!(claims(&token(&site, RESOURCE).await?)?["aud"], RESOURCE);
    assert_eq!(calls(&site).await?, before, "all of it came with the login");
    Ok(())
}

#[tokio::test]
async fn d_042_an_unknown_resource_is_told_and_the_providers_no_passes_through() -> Result<()> {
    let (site, _server) = logged_in(&[]).await?;
    let before = token(&site, RESOURCE).await?;
    for (unknown, said) in [
        ("urn:other:x", "gives no tokens for that resource"),
        ("urn:sap:identity:api:name:nobody", "refused: invalid_target"),
    ] {
        let refused = site.world.ciba(&["token", "--resource", unknown]).await?;
        assert_eq!((refused.code(), &*refused.stdout), (Some(1), ""), "{refused:?}");
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
    assert_eq!(token(&site, RESOURCE).await?, before, "nothing else suffers");
    Ok(())
}

#[tokio::test]
async fn d_042_a_provider_that_is_down_is_asked_again_until_it_answers() -> Result<()> {
    let (site, _server) = logged_in(&[]).await?;
    let fault = json!({ "path": "/token", "mode": "status", "status": 503, "times": 0 });
    site.idp.fail(&fault).await?;
    let refused = site.world.ciba(&["token", "--resource", API]).await?;
    assert_eq!((refused.code(), &*refused.stdout), (Some(4), ""), "{refused:?}");
    let _ = token(&site, RESOURCE).await?;
    site.idp.clear().await?;
    let exchanged = until("the exchange", PATIENCE, async || {
        let output = site.world.ciba(&["token", "--resource", API]).await.ok()?;
        (output.code() == Some(0)).then(|| output.success())
    });
    assert_eq!(claims(&exchanged.await?)?["aud"], AUDIENCE);
    Ok(())
}

//! What a person sees, in the browser and in the terminal, when the identity provider fails (D-023).

use anyhow::Result;
use ciba_tests::{Browser, Output, Server, confirm_outcome, outcome};
use serde_json::{Value, json};

use crate::site::{Site, UNASKED};

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Goes through one login; returns the outcome on the last page and what the terminal was told.
async fn attempt(site: &Site, server: &Server) -> Result<(String, Output)> {
    let login = site.world.begin_login(&["start", "--url", &server.url]).await?;
    let outcome = confirm_outcome(&login.page).await?;
    Ok((outcome, login.end().await?))
}

async fn assert_fails(site: &Site, server: &Server, fault: &Value, code: i32, said: &str) -> Result<()> {
    site.idp.clear().await?;
    site.idp.fail(fault).await?;
    let (outcome, output) = attempt(site, server).await?;
    assert_eq!(outcome, "provider-down", "{fault}");
    assert_eq!(output.code(), Some(code), "{fault}: {output:?}");
    assert!(output.stderr.contains(said), "{fault}: {output:?}");
    Ok(())
}

#[tokio::test]
async fn d_023_a_provider_that_is_down_or_talks_nonsense_is_said_at_once_and_recovers() -> Result<()> {
    let site = Site::new(&UNASKED).await?;
    let server = site.server().await?;
    let status = |path| json!({ "path": path, "mode": "status", "status": 503, "times": 0 });
    let mode = |path, mode| json!({ "path": path, "mode": mode, "times": 0 });
    assert_fails(&site, &server, &status(DISCOVERY), 4, "it answers 503").await?;
    assert_fails(&site, &server, &mode(DISCOVERY, "reset"), 4, "cannot be reached").await?;
    assert_fails(&site, &server, &mode(DISCOVERY, "garbage"), 1, "makes no sense").await?;
    assert_fails(&site, &server, &status("/token"), 4, "it answers 503").await?;
    assert_fails(&site, &server, &mode("/token", "garbage"), 1, "cannot be read").await?;
    assert_fails(&site, &server, &mode("/token", "reset"), 4, "cannot be reached").await?;
    site.idp.clear().await?;
    let (outcome, output) = attempt(&site, &server).await?;
    assert_eq!(outcome, "signed-in");
    let _ = output.success();
    Ok(())
}

#[tokio::test]
async fn d_023_a_provider_that_hangs_is_given_up() -> Result<()> {
    let site = Site::new(&UNASKED).await?;
    let server = site.server().await?;
    let hang = json!({ "path": "/token", "mode": "hang", "times": 0 });
    assert_fails(&site, &server, &hang, 4, "in time").await
}

/// Takes as long as the shortest login may.
#[tokio::test]
async fn d_005_a_browser_that_is_closed_ends_in_a_login_that_expires() -> Result<()> {
    let mut site = Site::new(&[]).await?;
    site.world.set("CIBA_SERVER__LIMITS__LOGIN_EXPIRES_IN", "5");
    let server = site.server().await?;
    let browser = Browser::start().await?;
    let login = site.world.begin_login(&["start", "--url", &server.url]).await?;
    browser.goto(&login.page).await?;
    browser.close().await?;
    let page = login.page.clone();
    let output = login.end().await?;
    assert_eq!(output.code(), Some(6), "{output:?}");
    assert_eq!(outcome(&page).await?, "expired");
    Ok(())
}

#[tokio::test]
async fn d_023_a_provider_that_says_no_is_a_no() -> Result<()> {
    for options in [["--login", "deny"], ["--consent", "deny"]] {
        let site = Site::new(&[&UNASKED[..], &options].concat()).await?;
        let server = site.server().await?;
        let (outcome, output) = attempt(&site, &server).await?;
        assert_eq!(outcome, "refused");
        assert_eq!(output.code(), Some(5), "{output:?}");
    }
    Ok(())
}

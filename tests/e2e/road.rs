//! The road from a login to a token that an API takes, and back to nothing; with a person who logs in over HTTP.

use anyhow::{Context, Result};
use ciba_tests::{PATIENCE, Server, World, cancel, outcome, sign_in};
use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};

#[tokio::test]
async fn a_login_gives_tokens_that_an_api_takes_and_stop_leaves_nothing() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    let login = world.begin_login(&["start", "--url", &server.url]).await?;
    let (page, code) = (login.page.clone(), login.user_code.clone());
    assert!(
        get(&page, None).await?.1.contains(&code),
        "the page shows the terminal's code"
    );
    sign_in(&page, "alice", "demo").await?;
    let done = login.end().await?;
    assert!(
        done.stderr.contains("Logged in as Alice Example"),
        "{}",
        done.stderr
    );
    assert_eq!(done.success(), "", "nothing on standard output");

    let token = world.ciba(&["token"]).await?.success();
    let (status, body) = call_demo_api(&server, &token).await?;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(serde_json::from_str::<Value>(&body)?["sub"], "alice");
    let header = world.ciba(&["token", "--header"]).await?.success();
    assert_eq!(header, format!("Authorization: Bearer {token}"));

    let profile = world.status().await?["profiles"][0].clone();
    let seen = ["profile", "url", "state", "link", "subject"].map(|key| profile[key].clone());
    let expected = ["default", &server.url, "active", "connected", "Alice Example"].map(Value::from);
    assert_eq!(seen, expected);
    assert_eq!(profile["tokens"][0]["resource"], "urn:d:unified-gateway");
    let table = world.ciba(&["status"]).await?.success();
    assert!(
        table.contains("logged in, connected") && !table.contains(&token),
        "{table}"
    );

    let stopped = world.ciba(&["stop"]).await?;
    assert_eq!(stopped.stderr, "Logged out of default.\n");
    let _ = stopped.success();
    world.until_no_daemon().await?;
    assert_eq!(world.status().await?, json!({ "running": false }));
    assert_eq!(
        outcome(&page).await?,
        "expired",
        "the server has forgotten the session"
    );
    Ok(())
}

#[tokio::test]
async fn d_051_a_token_is_served_from_memory_while_the_server_is_dead() -> Result<()> {
    let world = World::new()?;
    let mut server = world.server_dev().await?;
    world.log_in(&server).await?;
    let token = world.ciba(&["token"]).await?.success();
    kill(&mut server).await?;
    let again = world.ciba(&["token"]).await?.success();
    assert_eq!(again, token);
    world.until_link("offline").await?;
    assert_eq!(world.ciba(&["token"]).await?.success(), token);

    let other = world.ciba(&["token", "--resource", "urn:d:another"]).await?;
    assert_eq!(other.code(), Some(4), "{other:?}");
    let stopped = world.ciba(&["stop"]).await?;
    assert!(stopped.stderr.contains("could not be told"), "{stopped:?}");
    let _ = stopped.success();
    world.until_no_daemon().await
}

#[tokio::test]
async fn two_starts_at_once_share_one_login() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    let start = ["start", "--url", &server.url];
    let (first, second) = tokio::try_join!(world.begin_login(&start), world.begin_login(&start))?;
    assert_eq!((&first.page, &first.user_code), (&second.page, &second.user_code));
    sign_in(&first.page, "bob", "demo").await?;
    for login in [first, second] {
        let done = login.end().await?;
        assert!(done.stderr.contains("Logged in as Bob Example"), "{done:?}");
        let _ = done.success();
    }
    assert_eq!(
        world.status().await?["profiles"]
            .as_array()
            .context("profiles")?
            .len(),
        1
    );
    Ok(())
}

#[tokio::test]
async fn a_login_goes_on_when_only_one_of_two_who_wait_leaves() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    let start = ["start", "--url", &server.url];
    let mut first = world.begin_login(&start).await?;
    let second = world.begin_login(&start).await?;
    first.process.signal(Signal::INT)?;
    assert!(!first.process.exit(PATIENCE).await?.success());
    sign_in(&second.page, "alice", "demo").await?;
    let _ = second.end().await?.success();
    Ok(())
}

#[tokio::test]
async fn ctrl_c_cancels_a_login() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    let mut login = world.begin_login(&["start", "--url", &server.url]).await?;
    login.process.signal(Signal::INT)?;
    assert!(!login.process.exit(PATIENCE).await?.success());
    ciba_tests::until("the profile to be gone", PATIENCE, async || {
        (world.status().await.ok()?["profiles"] == json!([])).then_some(())
    })
    .await?;
    assert_eq!(
        outcome(&login.page).await?,
        "expired",
        "no person can sign in to it any more"
    );
    let token = world.ciba(&["token"]).await?;
    assert_eq!(token.code(), Some(3), "{token:?}");
    // A new one is a new one.
    let next = world.begin_login(&["start", "--url", &server.url]).await?;
    assert_ne!(next.page, login.page);
    assert_eq!(cancel(&next.page).await?, "refused");
    Ok(())
}

#[tokio::test]
async fn profiles_are_logins_of_their_own() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    for (profile, user) in [("a", "alice"), ("b", "bob")] {
        let start = ["start", "--url", &server.url, "--profile", profile];
        let login = world.begin_login(&start).await?;
        sign_in(&login.page, user, "demo").await?;
        let _ = login.end().await?.success();
    }
    let token = async |profile| world.ciba(&["token", "--profile", profile]).await;
    for (profile, user) in [("a", "alice"), ("b", "bob")] {
        let (_, body) = call_demo_api(&server, &token(profile).await?.success()).await?;
        assert_eq!(serde_json::from_str::<Value>(&body)?["sub"], user);
    }
    let nobody = world.ciba(&["token"]).await?;
    assert_eq!(nobody.code(), Some(3), "{nobody:?}");

    let _ = world.ciba(&["stop", "--profile", "a"]).await?.success();
    assert_eq!(token("a").await?.code(), Some(3));
    let _ = token("b").await?.success();
    let _ = world.ciba(&["stop", "--profile", "b"]).await?.success();
    world.until_no_daemon().await
}

#[tokio::test]
async fn a_one_shot_prints_a_token_and_leaves_nothing() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    let login = world.begin_login(&["--url", &server.url]).await?;
    let page = login.page.clone();
    sign_in(&page, "alice", "demo").await?;
    let done = login.end().await?;
    assert!(done.stdout.ends_with('\n') && done.stdout.lines().count() == 1);
    let token = done.success();
    assert_eq!(call_demo_api(&server, &token).await?.0, StatusCode::OK);
    world.until_no_daemon().await?;
    ciba_tests::until("the server to forget", PATIENCE, async || {
        (outcome(&page).await.ok()? == "expired").then_some(())
    })
    .await
}

async fn kill(server: &mut Server) -> Result<()> {
    server.process.signal(Signal::KILL)?;
    server.process.exit(PATIENCE).await.map(drop)
}

async fn call_demo_api(server: &Server, token: &str) -> Result<(StatusCode, String)> {
    let api = server.ready["demo_api"].as_str().context("a demo API")?;
    get(api, Some(token)).await
}

async fn get(url: &str, token: Option<&str>) -> Result<(StatusCode, String)> {
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let mut request = http.get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await?;
    Ok((response.status(), response.text().await?))
}

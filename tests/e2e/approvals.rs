//! A client asks, a person decides in the terminal (C-211): the real programs, and a client that speaks plain HTTP.

use anyhow::{Context, Result};
use ciba_tests::{Output, PATIENCE, Seat, Server, World, until};
use serde_json::{Value, json};

/// The client that `ciba-server dev` knows.
const CLIENT: (&str, &str) = ("demo-agent", "demo");

const GRANT: &str = "urn:openid:params:grant-type:ciba";

/// What a client asks Alice for.
const ASKS: [(&str, &str); 4] = [
    ("scope", "openid"),
    ("login_hint", "alice@example.com"),
    ("binding_message", "Pay 20 EUR"),
    (
        "authorization_details",
        r#"[{"type":"payment","amount":{"value":"20.00","currency":"EUR"}}]"#,
    ),
];

async fn post(server: &Server, path: &str, form: &[(&str, &str)]) -> Result<(u16, Value)> {
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let request = http.post(format!("{}{path}", server.url)).form(form);
    let response = request.basic_auth(CLIENT.0, Some(CLIENT.1)).send().await?;
    Ok((response.status().as_u16(), response.json().await?))
}

/// A client asks; returns its `auth_req_id`.
async fn ask(server: &Server) -> Result<String> {
    let (code, body) = post(server, "/oauth2/bc-authorize", &ASKS).await?;
    assert_eq!(code, 200, "{body}");
    Ok(body["auth_req_id"].as_str().context("an auth_req_id")?.to_owned())
}

/// Redeems the request; returns the answer.
async fn redeem(server: &Server, auth_req_id: &str) -> Result<(u16, Value)> {
    let form = [("grant_type", GRANT), ("auth_req_id", auth_req_id)];
    post(server, "/oauth2/token", &form).await
}

/// Returns how far the request is, as its page would say.
async fn status(server: &Server, auth_req_id: &str) -> Result<Value> {
    let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let url = format!("{}/ciba/verify?auth_req_id={auth_req_id}", server.url);
    let verified: Value = http.get(url).send().await?.json().await?;
    Ok(verified["status"].clone())
}

async fn listed(world: &World) -> Result<Vec<Value>> {
    let text = world.ciba(&["approvals", "--json"]).await?.success();
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// Waits until so many requests are listed.
async fn until_listed(world: &World, count: usize) -> Result<Vec<Value>> {
    until("the requests", PATIENCE, async || {
        listed(world).await.ok().filter(|listed| listed.len() == count)
    })
    .await
}

/// A person approves on a terminal; returns what it has shown.
async fn approve(world: &World, id: &str) -> Result<String> {
    let ciba = ciba_tests::binary("ciba");
    let mut seat = Seat::take(world, &format!("{} approve {id}", ciba.display()))?;
    seat.until_shown("Approve? [y/N] ").await?;
    seat.write_line("y").await?;
    seat.end().await
}

#[tokio::test]
async fn c_211_a_request_is_shown_and_approved_in_the_terminal() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    assert!(listed(&world).await?.is_empty());

    let auth_req_id = ask(&server).await?;
    let listed = until_listed(&world, 1).await?;
    let request = &listed[0];
    assert_eq!(request["binding_message"], "Pay 20 EUR");
    assert_eq!(request["scope"], json!(["openid"]));
    assert_eq!(request["authorization_details"][0]["amount"]["value"], "20.00");
    let url = request["url"].as_str().context("a page")?;
    assert!(
        url.contains(&auth_req_id),
        "the page's address is the whole secret"
    );
    let id = request["id"].as_str().context("an id")?;
    assert!(
        !auth_req_id.contains(id),
        "what people call it says nothing of the secret"
    );
    assert_eq!(status(&server, &auth_req_id).await?, "pending");

    let shown = approve(&world, id).await?;
    assert!(
        shown.contains("Pay 20 EUR") && shown.contains("Approved: "),
        "{shown}"
    );
    until_listed(&world, 0).await?;
    let (code, tokens) = redeem(&server, &auth_req_id).await?;
    assert_eq!(code, 200, "{tokens}");
    assert!(tokens["access_token"].is_string() && tokens["id_token"].is_string());
    Ok(())
}

#[tokio::test]
async fn c_211_a_request_is_denied_and_a_second_decision_finds_none() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    let auth_req_id = ask(&server).await?;
    until_listed(&world, 1).await?;
    let _ = world.ciba(&["deny", "--yes"]).await?.success();
    assert_eq!(redeem(&server, &auth_req_id).await?.1["error"], "access_denied");
    let again = world.ciba(&["approve"]).await?;
    assert_eq!(again.code(), Some(1), "{again:?}");
    assert!(
        again.stderr.contains("no request waits for your decision"),
        "{again:?}"
    );
    Ok(())
}

#[tokio::test]
async fn c_211_what_waits_is_there_after_the_daemon_became_another_program_and_after_a_late_login()
-> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    let early = ask(&server).await?;
    world.log_in(&server).await?;
    until_listed(&world, 1).await?;
    let late = ask(&server).await?;
    until_listed(&world, 2).await?;
    let _ = world.ciba(&["restart"]).await?.success();
    let waiting = until_listed(&world, 2).await?;
    for request in &waiting {
        let id = request["id"].as_str().context("an id")?;
        approve(&world, id).await?;
    }
    for auth_req_id in [early, late] {
        assert_eq!(redeem(&server, &auth_req_id).await?.0, 200);
    }
    Ok(())
}

#[tokio::test]
async fn c_211_a_program_without_a_terminal_approves_nothing() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    let auth_req_id = ask(&server).await?;
    until_listed(&world, 1).await?;
    for arguments in [&["approve"][..], &["approve", "--yes"], &["approve", "-y"]] {
        let mut command = world.command("setsid");
        command
            .arg("--wait")
            .arg(ciba_tests::binary("ciba"))
            .args(arguments);
        let mut asking = world.spawn(command)?;
        asking.write_line("y").await?;
        asking.close_stdin();
        let refused = Output::of(&mut asking).await?;
        match arguments {
            [_, _option] => assert_eq!(refused.code(), Some(2), "there is no such option: {refused:?}"),
            // Nor is one suggested.
            _ => assert!(
                refused.code() != Some(0) && !refused.stderr.contains("--yes"),
                "{refused:?}"
            ),
        }
    }
    assert_eq!(status(&server, &auth_req_id).await?, "pending");
    Ok(())
}

#[tokio::test]
async fn d_066_what_a_terminal_does_not_show_whole_is_approved_in_the_browser_alone() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    let long = json!([{ "type": "payment", "items": vec!["1 EUR"; 60] }]).to_string();
    for extra in [("acr_values", "mfa"), ("authorization_details", &long)] {
        let mut form: Vec<_> = ASKS.into_iter().filter(|(name, _)| *name != extra.0).collect();
        form.push(extra);
        let (code, body) = post(&server, "/oauth2/bc-authorize", &form).await?;
        assert_eq!(code, 200, "{body}");
        let listed = until_listed(&world, 1).await?;
        assert_eq!(listed[0]["answer"], "browser", "{extra:?}");
        let refused = world.ciba(&["approve", "--no-browser"]).await?;
        assert!(refused.stderr.contains("Open this page to decide"), "{refused:?}");
        let auth_req_id = body["auth_req_id"].as_str().context("an auth_req_id")?;
        assert_eq!(status(&server, auth_req_id).await?, "pending");
        let _ = world.ciba(&["deny", "--yes"]).await?.success();
        until_listed(&world, 0).await?;
    }
    Ok(())
}

#[tokio::test]
async fn c_225_another_persons_request_is_not_shown_and_cannot_be_decided() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    let of_bob: Vec<_> = ASKS
        .iter()
        .map(|(name, value)| match *name {
            "login_hint" => (*name, "bob@example.com"),
            _ => (*name, *value),
        })
        .collect();
    let (code, body) = post(&server, "/oauth2/bc-authorize", &of_bob).await?;
    assert_eq!(code, 200, "{body}");
    let of_alice = ask(&server).await?;
    until_listed(&world, 1).await?;
    approve(&world, "").await?;
    assert_eq!(redeem(&server, &of_alice).await?.0, 200);
    let bobs = body["auth_req_id"].as_str().context("an auth_req_id")?;
    assert_eq!(status(&server, bobs).await?, "pending");
    Ok(())
}

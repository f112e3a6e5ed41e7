//! A device that is not ours, the real `@hocuspocus/provider`, at our server (D-015).

use anyhow::{Context, Result};
use ciba_tests::{Provider, Server, World, sign_in};
use device_proto::seal::{Key, KeyUse, Sealed};
use device_proto::token::Token;
use device_proto::{Challenge, RequestId};
use serde_json::{Value, json};

use crate::site::RESOURCE;

const SECRET: [u8; 32] = [42; 32];
const OTHER_SECRET: [u8; 32] = [43; 32];

/// A session that was begun for a device with [`SECRET`].
struct Begun {
    session: String,
    page: String,
    socket: String,
}

async fn begin(server: &Server) -> Result<Begun> {
    let pushed = json!({ "verifier": Challenge::new(&SECRET).verifier(), "deviceName": "a Yjs device" });
    let http = reqwest::Client::builder().no_proxy().build()?;
    let response = http
        .post(format!("{}/auth/par/authorize", server.url))
        .json(&pushed)
        .send()
        .await?;
    let answer: Value = response.error_for_status()?.json().await?;
    let field = |name: &str| answer[name].as_str().map(str::to_owned).context(name.to_owned());
    Ok(Begun {
        session: field("requestId")?,
        page: field("url")?,
        socket: format!("{}/sync/device", server.url.replacen("http", "ws", 1)),
    })
}

fn device(begun: &Begun, secret: &[u8; 32], options: &[&str]) -> Result<Provider> {
    let challenge = Challenge::new(secret).expose();
    Provider::start(&begun.socket, &begun.session, &challenge, options)
}

#[tokio::test]
async fn d_015_it_is_given_a_token_that_its_challenge_opens() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    let begun = begin(&server).await?;
    let wanted = format!("tokens.{RESOURCE}");
    let mut device = device(&begun, &SECRET, &["--wait-key", &wanted])?;
    assert_eq!(device.script.event("authenticated").await?["scope"], "readonly");
    device.script.event("synced").await?;
    sign_in(&begun.page, "alice", "demo").await?;
    let found = device.script.event("found").await?;
    assert!(device.script.exit().await?.success());

    let sealed = Sealed::try_from(found["value"].as_str().context("a text")?.to_owned())?;
    let session: RequestId = begun.session.parse()?;
    let key = Key::of_challenge(Challenge::new(&SECRET), &session, KeyUse::Token);
    let mut buffer = vec![0; sealed.plaintext_len()];
    let token = Token::decode(key.open(RESOURCE, &sealed, &mut buffer)?)?;
    assert_eq!(
        (token.token_type.as_ref(), token.resource.as_ref()),
        ("Bearer", RESOURCE)
    );
    let api = server.ready["demo_api"].as_str().context("a demo API")?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let response = http.get(api).bearer_auth(&token.access_token).send().await?;
    assert_eq!(
        response.error_for_status()?.json::<Value>().await?["sub"],
        "alice"
    );
    Ok(())
}

#[tokio::test]
async fn d_011_d_015_a_wrong_challenge_and_an_unknown_session_are_denied_alike() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    let mut begun = begin(&server).await?;
    let mut reasons = Vec::new();
    for session in [begun.session.clone(), "no-such-session-there".to_owned()] {
        begun.session = session;
        let mut device = device(&begun, &OTHER_SECRET, &["--exit-on-denied"])?;
        reasons.push(device.script.event("denied").await?["reason"].clone());
        assert_eq!(device.script.exit().await?.code(), Some(4));
    }
    assert_eq!(reasons[0], reasons[1]);
    Ok(())
}

#[tokio::test]
async fn d_013_d_015_what_it_writes_reaches_nobody() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    let begun = begin(&server).await?;
    let mut writer = device(&begun, &SECRET, &["--set", "session.status=active"])?;
    writer.script.event("synced").await?;
    // Still not acknowledged when the server has answered everything that was said before.
    writer
        .script
        .event_where("unsynced", |event| event["count"] != 0)
        .await?;
    writer.script.tell(&json!({ "cmd": "sync" })).await?;
    let mut reader = device(&begun, &SECRET, &["--wait-key", "session.status"])?;
    assert_eq!(reader.script.event("found").await?["value"], "pending");

    // The writer's own copy is its own affair; the login goes on for both.
    sign_in(&begun.page, "bob", "demo").await?;
    let has_token = |event: &Value| event["maps"]["tokens"][RESOURCE].is_string();
    writer.script.event_where("update", has_token).await?;
    Ok(())
}

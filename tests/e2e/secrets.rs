//! No secret is written anywhere on the whole road: no log, no file, no argument list, no error.

use anyhow::{Context, Result};
use ciba_tests::{Haystack, Relay, World, assert_nowhere, cancel, sign_in};

/// Prints the token on purpose.
const SAYS_THE_TOKEN: [&str; 2] = ["stdout of ciba token", "stdout of ciba --url"];

#[tokio::test]
async fn neither_challenge_nor_tokens_are_written_anywhere() -> Result<()> {
    let mut world = World::new()?;
    world.set("CIBA_LOG", "trace");
    let cmdlines = world.cmdlines();
    let server = world.server_dev().await?;
    let relay = Relay::start(&server.url).await?;
    let mut secrets = Vec::new();

    let login = world.begin_login(&["start", "--url", &relay.url]).await?;
    sign_in(&login.page, "alice", "demo").await?;
    let _ = login.end().await?.success();
    secrets.push(relay.challenge().context("a challenge was proven")?);
    secrets.push(signature(&world.ciba(&["token", "--header"]).await?.success())?);
    for command in [&["token", "--json"][..], &["status"], &["status", "--json"]] {
        let _ = world.ciba(command).await?.success();
    }

    let shot = world.begin_login(&["--url", &relay.url]).await?;
    sign_in(&shot.page, "bob", "demo").await?;
    secrets.push(signature(&shot.end().await?.success())?);
    secrets.push(relay.challenge().context("a challenge was proven")?);
    // What goes wrong may not tell either.
    let denied = world
        .begin_login(&["start", "--url", &relay.url, "--profile", "no"])
        .await?;
    cancel(&denied.page).await?;
    assert_eq!(denied.end().await?.code(), Some(5));
    secrets.push(relay.challenge().context("a challenge was proven")?);
    let _ = world.ciba(&["stop", "--all"]).await?.success();
    world.until_no_daemon().await?;
    drop(server);

    let mut everything = world.everything_written()?;
    for (place, line) in [("cibad", "a token arrived"), ("ciba-server", "/auth/callback")] {
        assert!(
            logs(&everything, place, line),
            "{place} logs where this test looks"
        );
    }
    everything.retain(|written| {
        !SAYS_THE_TOKEN
            .iter()
            .any(|place| written.place.starts_with(place))
    });
    everything.extend(cmdlines.stop());
    for secret in secrets {
        assert_nowhere(secret.as_bytes(), &everything);
    }
    Ok(())
}

/// The part of a JWT that is in no other token.
fn signature(token: &str) -> Result<String> {
    let (_, signature) = token.rsplit_once('.').context("a JWT has a signature")?;
    Ok(signature.to_owned())
}

/// Whether that line is in what a program wrote.
fn logs(everything: &[Haystack], program: &str, line: &str) -> bool {
    everything.iter().any(|written| {
        written.place.contains(program) && String::from_utf8_lossy(&written.bytes).contains(line)
    })
}

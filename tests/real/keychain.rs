//! Logins that outlive their daemon, in a real GNOME Keyring (D-052, D-053): found again, waited for while it is
//! locked, and gone after `ciba stop`. `daemon/src/keychain/` has each keychain alone, in every state.

use anyhow::{Context, Result};
use ciba_tests::{Keyring, PATIENCE, Server, World, until};

/// Logs in and waits until the login is kept.
async fn log_in(world: &World) -> Result<Server> {
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    world.until_kept("secret-service").await?;
    Ok(server)
}

#[tokio::test]
async fn d_052_d_053_a_killed_daemon_is_followed_by_one_that_goes_on() -> Result<()> {
    let mut keyring = Keyring::start().await?;
    let world = World::with_keyring(&keyring)?;
    let _server = log_in(&world).await?;
    for _ in 0..3 {
        world.kill_daemon()?;
        let _ = world.ciba(&["token"]).await?.success();
        let daemon = u32::try_from(world.daemon().context("a daemon")?.as_raw_nonzero().get())?;
        until("an idle daemon without a bus", PATIENCE, async || {
            keyring
                .connections_of(daemon)
                .await
                .is_ok_and(|count| count == 0)
                .then_some(())
        })
        .await?;
    }
    // What is in memory is served without a look at the keychain.
    keyring.stop_service().await?;
    let _ = world.ciba(&["token"]).await?.success();
    keyring.continue_service()?;

    let found = keyring.search("application", "ciba").await?;
    assert!(
        found.contains("label = ciba: login 'default' at http://127.0.0.1:"),
        "{found}"
    );
    let _ = world.ciba(&["stop"]).await?.success();
    assert_eq!(keyring.search("application", "ciba").await?, "");
    Ok(())
}

#[tokio::test]
async fn d_053_a_locked_login_is_said_to_be_locked_and_goes_on_when_it_is_opened() -> Result<()> {
    let keyring = Keyring::start().await?;
    let world = World::with_keyring(&keyring)?;
    let _server = log_in(&world).await?;
    world.kill_daemon()?;
    keyring.lock().await?;

    let refused = world.ciba(&["token"]).await?;
    assert_eq!(refused.code(), Some(1));
    assert!(
        refused.stderr.contains("the secret-service keychain is locked"),
        "{refused:?}"
    );
    assert_eq!(world.status().await?["keychain"]["code"], "keychain_locked");

    keyring.unlock().await?;
    until("the login to go on by itself", PATIENCE, async || {
        world
            .ciba(&["token"])
            .await
            .is_ok_and(|token| token.status.success())
            .then_some(())
    })
    .await?;
    assert!(world.status().await?["keychain"].is_null());
    Ok(())
}

#[tokio::test]
async fn d_052_a_login_while_it_is_locked_is_kept_when_it_is_opened() -> Result<()> {
    let keyring = Keyring::start().await?;
    keyring.lock().await?;
    let world = World::with_keyring(&keyring)?;
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    let _ = world.ciba(&["token"]).await?.success();
    keyring.unlock().await?;
    until("the login to be kept", PATIENCE, async || {
        let found = keyring.search("application", "ciba").await.ok()?;
        found.contains("label = ").then_some(())
    })
    .await
}

#[tokio::test]
async fn d_052_a_keychain_that_was_asked_for_and_is_not_there_is_no_reason_to_take_another() -> Result<()> {
    let bare = Keyring::bus_without_service().await?;
    let world = World::with_keyring(&bare)?;
    let server = world.server_dev().await?;
    let start = [
        "start",
        "--url",
        &server.url,
        "--keychain",
        "secret-service",
        "--no-browser",
    ];
    let refused = world.ciba(&start).await?;
    assert_eq!(refused.code(), Some(1));
    assert!(
        refused.stderr.contains("no secret-service keychain"),
        "{refused:?}"
    );
    Ok(())
}

//! A client's secret in real keychains: it is there for the next daemon, until it is removed, and in the clear nowhere.

use std::fs;

use anyhow::{Context, Result};
use ciba_tests::{Haystack, Idp, Keyring, World, assert_nowhere};

use super::Asking;
use crate::memory::{Found, found};

#[tokio::test]
async fn a_secret_in_the_kernels_keyring_outlives_the_daemon() -> Result<()> {
    let world = World::with_kernel_keyring().await?;
    outlives_the_daemon(&world, "kernel", || Ok(Vec::new())).await
}

#[tokio::test]
async fn a_secret_in_the_secret_service_outlives_the_daemon() -> Result<()> {
    let keyring = Keyring::start().await?;
    let world = World::with_keyring(&keyring)?;
    outlives_the_daemon(&world, "secret-service", || {
        let folder = keyring.home().join(".local/share/keyrings");
        let files = fs::read_dir(folder)?.map(|entry| {
            let path = entry?.path();
            let (place, bytes) = (path.display().to_string(), fs::read(path)?);
            Ok(Haystack { place, bytes })
        });
        files.collect()
    })
    .await?;
    assert_eq!(keyring.search("application", "ciba").await?, "");
    Ok(())
}

/// `files` reads what the keychain itself has written.
async fn outlives_the_daemon(
    world: &World,
    keychain: &str,
    files: impl Fn() -> Result<Vec<Haystack>>,
) -> Result<()> {
    let idp = Idp::start(&["--ciba", "approve"]).await?;
    let asking = Asking {
        world,
        issuer: &idp.issuer,
        client_id: &idp.client_id,
    };
    let hint = ["--login-hint", "ada"];
    asking.keep(&idp.client_secret, &[]).await?;
    for _ in 0..2 {
        let listed = world.ciba(&["client", "list"]).await?.success();
        assert!(listed.ends_with(keychain), "{listed}");
        assert!(!asking.run(&hint).await?.success().is_empty());
        held(world, &idp.client_secret, Found::NOWHERE).await?;
        world.kill_daemon()?;
    }
    let secret = idp.client_secret.as_bytes();
    assert_nowhere(secret, &files()?);

    asking.remove().await?;
    held(world, &idp.client_secret, Found::NOWHERE).await?;
    world.kill_daemon()?;
    assert_eq!(world.ciba(&["client", "list"]).await?.success(), "");
    assert_eq!(asking.run(&hint).await?.code(), Some(1));
    assert_nowhere(secret, &files()?);
    assert_nowhere(secret, &written(world)?);
    Ok(())
}

#[tokio::test]
async fn without_a_keychain_a_secret_lies_in_locked_memory_until_it_is_removed() -> Result<()> {
    let idp = Idp::start(&["--ciba", "approve"]).await?;
    let world = World::new()?;
    let asking = Asking {
        world: &world,
        issuer: &idp.issuer,
        client_id: &idp.client_id,
    };
    asking.keep(&idp.client_secret, &[]).await?;
    assert!(!asking.run(&["--login-hint", "ada"]).await?.success().is_empty());
    held(&world, &idp.client_secret, Found::ONCE_AND_LOCKED).await?;
    asking.remove().await?;
    held(&world, &idp.client_secret, Found::NOWHERE).await
}

/// Asserts where the daemon's memory has the secret. Says so when the user cannot look.
async fn held(world: &World, secret: &str, expected: Found) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root sees the memory of a process that is not dumpable");
        return Ok(());
    }
    let daemon = world.daemon().context("a daemon")?;
    let seen = found(world, daemon, &[secret.as_bytes()]).await?;
    assert_eq!(seen, [expected]);
    Ok(())
}

/// Everything that our programs wrote, without what the scanner was told.
fn written(world: &World) -> Result<Vec<Haystack>> {
    let mut all = world.everything_written()?;
    all.retain(|written| !written.place.contains("/secret-"));
    Ok(all)
}

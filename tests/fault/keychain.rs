//! The keychain fails while the daemon runs and when it starts: it is killed, locked, or hangs (D-052, D-053).

use std::time::Duration;

use anyhow::{Context, Result};
use ciba_tests::{Chance, Keyring, Output, PATIENCE, Server, World, until};
use serde_json::json;
use tokio::time::sleep;

/// How often it fails.
const ROUNDS: usize = 4;

/// The most that a daemon takes to begin or to read its keychain, and a little more.
const MOMENT: Duration = Duration::from_millis(150);

/// A daemon whose only keychain is that keyring.
struct Kept {
    keyring: Keyring,
    world: World,
    _server: Server,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Locked,
}

impl Kept {
    async fn log_in() -> Result<Self> {
        let keyring = Keyring::start().await?;
        let world = World::with_keyring(&keyring)?;
        let server = world.server_dev().await?;
        world.log_in(&server).await?;
        world.until_kept("secret-service").await?;
        Ok(Self {
            keyring,
            world,
            _server: server,
        })
    }

    async fn fails(&self, fault: Fault) -> Result<()> {
        match fault {
            // The bus starts another one, which is locked.
            Fault::Killed => self.keyring.kill_service().await,
            Fault::Locked => self.keyring.lock().await,
        }
    }

    async fn token(&self) -> Result<Output> {
        self.world.ciba(&["token"]).await
    }

    async fn until_it_goes_on(&self) -> Result<()> {
        until("the login to go on by itself", PATIENCE, async || {
            (self.token().await.ok()?.code() == Some(0)).then_some(())
        })
        .await?;
        assert_eq!(self.world.status().await?["keychain"], json!(null));
        Ok(())
    }
}

#[tokio::test]
async fn d_052_d_053_a_keychain_that_fails_keeps_a_login_back_and_loses_none() -> Result<()> {
    let kept = Kept::log_in().await?;
    let mut chance = Chance::drawn();
    for _ in 0..ROUNDS {
        let fault = chance.one_of(&[Fault::Killed, Fault::Locked]);
        kept.fails(fault).await?;
        // A daemon that is logged in has no need of it.
        let _ = kept.token().await?.success();
        kept.world.kill_daemon()?;
        let refused = kept.token().await?;
        assert_eq!(refused.code(), Some(1), "{fault:?}: {refused:?}");
        assert!(refused.stderr.contains("keychain is locked"), "{refused:?}");
        assert_eq!(kept.world.status().await?["keychain"]["code"], "keychain_locked");
        kept.keyring.unlock().await?;
        kept.until_it_goes_on().await?;
    }
    Ok(())
}

/// The moment falls anywhere between the daemon's start and its first token.
#[tokio::test]
async fn d_053_a_keychain_that_fails_while_it_is_read_is_read_again() -> Result<()> {
    let kept = Kept::log_in().await?;
    let mut chance = Chance::drawn();
    for _ in 0..ROUNDS {
        let (fault, moment) = (
            chance.one_of(&[Fault::Killed, Fault::Locked]),
            chance.within(MOMENT),
        );
        kept.world.kill_daemon()?;
        let (token, failed) = tokio::join!(kept.token(), async {
            sleep(moment).await;
            kept.fails(fault).await
        });
        failed.with_context(|| format!("{fault:?}"))?;
        // It was read just before, or is locked; the daemon never says that nobody is logged in.
        let token = token?;
        assert!(
            matches!(token.code(), Some(0 | 1)),
            "{fault:?} after {moment:?}: {token:?}"
        );
        kept.keyring.unlock().await?;
        kept.until_it_goes_on().await?;
    }
    Ok(())
}

#[tokio::test]
async fn d_053_a_keychain_that_hangs_is_not_waited_for_and_read_when_it_goes_on() -> Result<()> {
    let mut kept = Kept::log_in().await?;
    kept.world.kill_daemon()?;
    kept.keyring.stop_service().await?;
    let refused = kept.token().await?;
    assert_eq!(refused.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("does not answer in time"), "{refused:?}");
    kept.keyring.continue_service()?;
    kept.until_it_goes_on().await
}

#[tokio::test]
async fn d_053_nobody_is_logged_in_where_the_keychain_is_open_and_empty() -> Result<()> {
    let keyring = Keyring::start().await?;
    let refused = World::with_keyring(&keyring)?.ciba(&["token"]).await?;
    assert_eq!(refused.code(), Some(3), "{refused:?}");
    assert!(refused.stderr.contains("nobody is logged in"), "{refused:?}");
    Ok(())
}

//! Fifty logins at once, one of which fails: the others are not disturbed, and `ciba status` shows all.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use ciba_tests::{Network, PATIENCE, Relay, World, sign_in, until};
use futures_util::future::try_join_all;
use serde_json::Value;

const PROFILES: usize = 50;

/// The one that fails.
const FAILING: &str = "p0";

/// Logins that are under way at once.
const AT_ONCE: usize = 5;

fn profile(number: usize) -> String {
    format!("p{number}")
}

async fn log_in(world: &World, profile: &str, url: &str) -> Result<()> {
    let arguments = ["start", "--url", url, "--profile", profile];
    let login = world.begin_login(&arguments).await?;
    sign_in(&login.page, "alice", "demo").await?;
    let _ = login.end().await?.success();
    Ok(())
}

/// The exit status of `ciba token` for each profile.
async fn tokens(world: &World) -> Result<BTreeMap<String, Option<i32>>> {
    let mut codes = BTreeMap::new();
    for name in (0..PROFILES).map(profile) {
        let code = world.ciba(&["token", "--profile", &name]).await?.code();
        codes.insert(name, code);
    }
    Ok(codes)
}

/// Waits until `ciba status` shows all of them, the one as told and the others connected.
async fn until_shown(world: &World, is_as_told: impl Fn(&Value) -> bool) -> Result<()> {
    until("all to be shown", PATIENCE, async || {
        let status = world.status().await.ok()?;
        let profiles = status["profiles"].as_array()?;
        let is_well = |shown: &Value| shown["state"] == "active" && shown["link"] == "connected";
        let is_right = |shown: &Value| match shown["profile"] == FAILING {
            true => is_as_told(shown),
            false => is_well(shown),
        };
        (profiles.len() == PROFILES && profiles.iter().all(is_right)).then_some(())
    })
    .await
}

/// Asserts that every profile but the failing one has a token; that one ends with `code`.
async fn assert_undisturbed(world: &World, code: i32) -> Result<()> {
    for (name, ended) in tokens(world).await? {
        let expected = if name == FAILING { code } else { 0 };
        assert_eq!(ended, Some(expected), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn one_profile_that_fails_disturbs_none_of_fifty() -> Result<()> {
    let world = World::with_kernel_keyring().await?;
    let (well, failing) = (world.server_dev().await?, world.server_dev().await?);
    let relay = Relay::start(&failing.url).await?;
    log_in(&world, FAILING, &relay.url).await?;
    let names: Vec<_> = (1..PROFILES).map(profile).collect();
    for names in names.chunks(AT_ONCE) {
        try_join_all(names.iter().map(|name| log_in(&world, name, &well.url))).await?;
    }
    until_shown(&world, |shown| shown["link"] == "connected").await?;

    relay.set(Network::Cut);
    until_shown(&world, |shown| {
        shown["link"] == "offline" && shown["state"] == "active"
    })
    .await?;
    assert_undisturbed(&world, 0).await?;

    // The daemon starts with a login whose server is out of reach, and no token of it.
    world.kill_daemon()?;
    assert_undisturbed(&world, 4).await?;
    until_shown(&world, |shown| shown["error"]["code"] == "server_unreachable").await?;

    // A server that does not know it.
    relay.sockets_to(&well.url)?;
    relay.set(Network::Good);
    until_shown(&world, |shown| shown["error"]["code"] == "login_required").await?;
    assert_undisturbed(&world, 3).await?;
    assert_eq!(
        world.kernel_logins().await?.len(),
        PROFILES,
        "nobody has ended one"
    );
    let stopped = world.ciba(&["stop", "--all"]).await?;
    assert_eq!(
        world.kernel_logins().await.context(format!("{stopped:?}"))?.len(),
        0
    );
    Ok(())
}

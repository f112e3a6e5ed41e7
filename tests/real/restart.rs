//! The server is killed and comes back while the daemon is connected (D-033): no person logs in again.

use anyhow::Result;
use ciba_tests::{PATIENCE, Server, confirm, outcome};
use rustix::process::Signal;

use crate::site::{Site, UNASKED};

/// How often in a row.
const RESTARTS: usize = 3;

#[tokio::test]
async fn d_033_d_050_d_051_a_killed_server_comes_back_to_the_same_session() -> Result<()> {
    let site = Site::new(&UNASKED).await?;
    let world = &site.world;
    let mut server = site.server().await?;
    let login = world.begin_login(&["start", "--url", &server.url]).await?;
    let page = login.page.clone();
    confirm(&page).await?;
    let _ = login.end().await?.success();
    let token = world.ciba(&["token"]).await?.success();
    let asked = site.idp.state().await?["requests"].clone();
    for _ in 0..RESTARTS {
        kill(&mut server).await?;
        assert_eq!(world.ciba(&["token"]).await?.success(), token);
        world.until_link("offline").await?;
        server = site.server().await?;
        world.until_link("connected").await?;
        let profile = world.status().await?["profiles"][0].clone();
        assert_eq!(
            (&profile["state"], &profile["subject"]),
            (&"active".into(), &"Test alice".into())
        );
        assert_eq!(world.ciba(&["token"]).await?.success(), token);
    }
    assert_eq!(
        site.idp.state().await?["requests"],
        asked,
        "the provider was not asked"
    );
    let stopped = world.ciba(&["stop"]).await?;
    assert_eq!(stopped.stderr, "Logged out of default.\n");
    assert_eq!(outcome(&page).await?, "expired");
    world.until_no_daemon().await
}

#[tokio::test]
async fn d_033_a_login_goes_on_after_the_server_was_killed() -> Result<()> {
    let site = Site::new(&UNASKED).await?;
    let mut server = site.server().await?;
    let login = site.world.begin_login(&["start", "--url", &server.url]).await?;
    kill(&mut server).await?;
    let _server = site.server().await?;
    confirm(&login.page).await?;
    let _ = login.end().await?.success();
    let _ = site.world.ciba(&["token"]).await?.success();
    Ok(())
}

async fn kill(server: &mut Server) -> Result<()> {
    server.process.signal(Signal::KILL)?;
    server.process.exit(PATIENCE).await.map(drop)
}

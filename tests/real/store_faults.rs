//! The server's disk fails: it is full, or the database is taken away. No login is lost, and nothing is said to be kept
//! that is not.

use std::fs;

use anyhow::Result;
use ciba_tests::{Output, PATIENCE, Process, Server, binary, confirm, until};
use rustix::process::Signal;
use serde_json::json;

use crate::site::{Site, UNASKED};

/// A server whose database lies on a disk of its own, in a mount namespace of its own: 1: the disk, 2: the configuration,
/// 3: the program. It fills and clears the disk as it is told.
const ON_A_SMALL_DISK: &str = r#"
mount -t tmpfs -o size=512k none "$1" && "$3" init --config "$2" >&2 || exit
"$3" serve --config "$2" &
while read -r word; do
    case $word in
        fill) cat /dev/zero > "$1/filler" 2> /dev/null ;;
        clear) rm "$1/filler" ;;
    esac
    echo "{\"done\":\"$word\"}"
done
kill $!
wait
"#;

/// More than the first token lasts, and less than those do that come later.
const LONGER: [&str; 3] = ["token", "--min-valid", "10m"];

async fn server_on_a_small_disk(site: &Site) -> Result<Server> {
    let disk = site.world.home().join("disk");
    fs::create_dir(&disk)?;
    let config = site.world.home().join("small.toml");
    fs::write(
        &config,
        site.config().replace("sqlite:ciba.db", "sqlite:disk/ciba.db"),
    )?;
    let mut command = site.world.command("/usr/bin/unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh"]);
    command.arg(disk).arg(config).arg(binary("ciba-server"));
    let mut process = site.world.spawn(command)?;
    let is_ready = |line: &serde_json::Value| line["ready"] == true;
    let ready = process.wait_json("its ready line", PATIENCE, is_ready).await?;
    let url = ready["url"].as_str().unwrap_or_default().to_owned();
    Ok(Server { url, ready, process })
}

async fn tell(process: &mut Process, word: &str) -> Result<()> {
    process.write_line(word).await?;
    let done = |line: &serde_json::Value| line["done"] == word;
    process.wait_json(word, PATIENCE, done).await.map(drop)
}

async fn log_in(site: &Site, server: &Server) -> Result<()> {
    let login = site.world.begin_login(&["start", "--url", &server.url]).await?;
    confirm(&login.page).await?;
    let _ = login.end().await?.success();
    site.idp.set(&json!({ "atTtl": 900 })).await
}

/// Asks until there is another token than `old`.
async fn other_token(site: &Site, old: &str) -> Result<String> {
    until("another token", PATIENCE, async || {
        let output = site.world.ciba(&LONGER).await.ok()?;
        let token = (output.code() == Some(0)).then(|| output.success())?;
        (token != old).then_some(token)
    })
    .await
}

/// Waits until the operator is told.
async fn until_logged(server: &Server, what: &str) -> Result<()> {
    until(what, PATIENCE, async || {
        server.process.stderr().contains(what).then_some(())
    })
    .await
}

#[tokio::test]
async fn d_043_a_full_disk_costs_no_login_and_spends_no_refresh_token() -> Result<()> {
    let site = Site::new(&[&UNASKED[..], &["--rotate", "true"]].concat()).await?;
    let mut server = server_on_a_small_disk(&site).await?;
    log_in(&site, &server).await?;
    let first = site.world.ciba(&["token"]).await?.success();
    tell(&mut server.process, "fill").await?;
    let before = site.idp.state().await?["requests"].clone();
    let mut asking = site.world.spawn_ciba(&LONGER)?;
    until_logged(&server, "disk is full").await?;
    assert_eq!(
        site.world.ciba(&["token"]).await?.success(),
        first,
        "what there is goes on"
    );
    assert_eq!(
        site.idp.state().await?["requests"],
        before,
        "the provider was not asked"
    );
    tell(&mut server.process, "clear").await?;
    let asked = Output::of(&mut asking).await?.success();
    assert_ne!(asked, first, "the daemon asked again, not its user");
    let after = site.idp.state().await?["requests"].clone();
    assert_eq!(
        before["GET /auth"], after["GET /auth"],
        "nobody logged in: {after}"
    );
    Ok(())
}

#[tokio::test]
async fn a_database_that_is_gone_is_an_error_and_a_restart_makes_no_new_one() -> Result<()> {
    let site = Site::new(&UNASKED).await?;
    let mut server = site.server().await?;
    log_in(&site, &server).await?;
    let first = site.world.ciba(&["token"]).await?.success();
    let database = site.world.home().join("ciba.db");
    let away = site.world.home().join("away.db");
    fs::rename(&database, &away)?;
    let asking = site.world.spawn_ciba(&LONGER)?;
    until_logged(&server, "deleted or replaced").await?;
    assert_eq!(
        site.world.ciba(&["token"]).await?.success(),
        first,
        "what there is goes on"
    );
    asking.signal(Signal::TERM)?;
    server.process.signal(Signal::KILL)?;
    server.process.exit(PATIENCE).await?;
    let restarted = site.world.ciba_server("serve", site.config()).await?;
    assert_eq!(restarted.code(), Some(1), "{restarted:?}");
    assert!(
        restarted.stderr.contains("ciba-server init --config"),
        "{restarted:?}"
    );
    assert!(
        restarted.stderr.contains(&database.display().to_string()),
        "{restarted:?}"
    );
    let made = site.world.ciba_server("init", site.config()).await?;
    assert_eq!(made.code(), Some(1), "{made:?}");
    assert!(
        made.stderr.contains("ciba.db-wal"),
        "the old log would be replayed into a new database: {made:?}"
    );
    assert!(!database.exists());
    fs::rename(&away, &database)?;
    let _server = site.server().await?;
    let _ = other_token(&site, &first).await?;
    Ok(())
}

/// As in a restart that overlaps: both would renew with one refresh token, and the provider would take back all.
#[tokio::test]
async fn a_second_server_on_one_database_says_so_and_ends() -> Result<()> {
    let site = Site::new(&UNASKED).await?;
    let mut server = site.server().await?;
    let address = server.url.trim_start_matches("http://");
    let elsewhere = site.config().replace(address, "127.0.0.1:0");
    assert_ne!(elsewhere, site.config());
    let second = site.world.ciba_server("serve", &elsewhere).await?;
    assert_eq!(second.code(), Some(1), "{second:?}");
    assert!(second.stderr.contains("stop it first"), "{second:?}");
    for look in ["check", "init"] {
        let _ = site.world.ciba_server(look, site.config()).await?.success();
    }
    server.process.signal(Signal::KILL)?;
    server.process.exit(PATIENCE).await?;
    let _server = site.world.server_with_store(&elsewhere).await?;
    Ok(())
}

//! Where the tools' tests work: a home with a login, and a rule for the gate.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use anyhow::Result;
use ciba_tests::{Gate, PATIENCE, Server, World, until};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::site::RESOURCE;

/// Makes a rule for the services that `matches` names, with these lines beside, the only one; a daemon that runs reads it.
pub(crate) async fn rule(world: &World, matches: &str, lines: &str) -> Result<()> {
    let folder = world.home().join(".config/ciba");
    fs::create_dir_all(&folder)?;
    let rule = format!("[[host]]\nmatch = \"{matches}\"\nresource = \"{RESOURCE}\"\n{lines}\n");
    fs::write(folder.join("config.toml"), rule)?;
    let Some(daemon) = world.daemon() else {
        return Ok(());
    };
    kill_process(daemon, Signal::HUP)?;
    until("the rule to be in force", PATIENCE, async || {
        let rules = configuration(world).ok()?;
        (rules["ok"]["rules"][0]["match"] == matches).then_some(())
    })
    .await
}

/// Asks the daemon for its configuration (I-005).
fn configuration(world: &World) -> Result<Value> {
    let mut stream = UnixStream::connect(world.socket())?;
    stream.write_all(b"{\"id\":1,\"op\":\"configuration\"}\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// A home whose person is logged in at a `ciba-server dev`.
pub(crate) async fn logged_in() -> Result<(World, Server)> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    Ok((world, server))
}

/// Asserts that no token has arrived at a gate that was asked.
pub(crate) fn assert_no_token(gate: &Gate) {
    assert!(!gate.seen().is_empty(), "the gate was asked");
    assert!(gate.tokens().is_empty(), "{:?}", gate.seen());
}

//! The clocks jump apart, as when a machine has slept: the wall clock of daemon, client and server is set ahead, their
//! monotonic clock goes on (D-050). Time that both clocks see is a pause of the process alone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use ciba_tests::{Chance, Process, World};
use rustix::process::{Signal, kill_process};
use tokio::process::Command;
use tokio::time::sleep;

use crate::network::Remote;

const CLOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/clock.c");

/// Longer than any token lasts.
const NIGHT: u32 = 8 * 60 * 60;

/// Nights in a row, each at another moment.
const NIGHTS: u32 = 2;

/// The longest pause of a process that was stopped.
const PAUSE: Duration = Duration::from_secs(2);

/// A home where the wall clock goes ahead by as much as the file in it says.
async fn world() -> Result<World> {
    let mut world = World::new()?;
    let library = world.home().join("clock.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(CLOCK);
    let mut compiler = Process::spawn(compiler)?;
    ensure!(
        compiler.exit(ciba_tests::PATIENCE).await?.success(),
        "{}",
        compiler.stderr()
    );
    world.set("LD_PRELOAD", library);
    world.set("CLOCK_AHEAD", ahead(&world.home()));
    Ok(world)
}

fn ahead(home: &Path) -> std::path::PathBuf {
    home.join("ahead")
}

#[tokio::test]
async fn d_050_a_machine_that_slept_has_a_token_at_once_and_no_login() -> Result<()> {
    let remote = Remote::in_world(world().await?).await?;
    let mut chance = Chance::drawn();
    for night in 1..=NIGHTS {
        let evening = remote.world.ciba(&["token"]).await?.success();
        sleep(chance.within(PAUSE)).await;
        // The daemon has not been told that its connection is dead.
        remote.relay.forget_connections();
        fs::write(ahead(&remote.world.home()), (night * NIGHT).to_string())?;
        // The patience of the daemon with a server that says nothing is shorter than the time after which silence is the
        // end of a connection.
        let morning = remote.world.ciba(&["token"]).await?.success();
        assert_ne!(morning, evening, "that one has ended");
    }
    Ok(())
}

#[tokio::test]
async fn d_050_a_daemon_that_was_stopped_goes_on() -> Result<()> {
    let remote = Remote::in_world(World::new()?).await?;
    let mut chance = Chance::drawn();
    for _ in 0..NIGHTS {
        let daemon = remote.world.daemon().expect("a daemon");
        kill_process(daemon, Signal::STOP)?;
        sleep(chance.within(PAUSE)).await;
        kill_process(daemon, Signal::CONT)?;
        let _ = remote.world.ciba(&["token"]).await?.success();
        remote.until_asked().await?;
    }
    Ok(())
}

//! Many daemons start at once, beside what a killed one has left (I-001): one serves, and no client waits for the others.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixListener;

use anyhow::{Context, Result};
use ciba_tests::{Output, PATIENCE, World, binary, until};
use futures_util::future::try_join_all;

/// How many start at once.
const CROWDS: [usize; 3] = [2, 2, 10];

/// Times that each crowd starts.
const ROUNDS: usize = 20;

/// Starts them, half by hand and half for a client; returns the process that each client found.
async fn crowd(world: &World, count: usize) -> Result<BTreeSet<u64>> {
    let clients = (0..count).map(async |number| {
        if number % 2 == 0 {
            let mut by_hand = world.spawn(world.command(binary("cibad")))?;
            let _ = Output::of(&mut by_hand).await?.success();
        }
        let refused = world.ciba(&["token"]).await?;
        assert!(refused.stderr.contains("nobody is logged in"), "{refused:?}");
        world.status().await?["pid"].as_u64().context("a process id")
    });
    Ok(try_join_all(clients).await?.into_iter().collect())
}

/// The processes of this home that run `cibad`.
fn daemons(world: &World) -> Vec<u64> {
    let home = format!("HOME={}", world.home().display());
    let is_ours = |folder: &std::path::Path| {
        let command = fs::read_link(folder.join("exe")).is_ok_and(|program| program.ends_with("cibad"));
        let environment = fs::read(folder.join("environ")).unwrap_or_default();
        command
            && environment
                .split(|byte| *byte == 0)
                .any(|line| line == home.as_bytes())
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|process| is_ours(&process.path()))
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}

async fn one_serves(world: &World, count: usize) -> Result<()> {
    let found = crowd(world, count).await?;
    let alone = until("the others to leave", PATIENCE, async || {
        Some(daemons(world)).filter(|daemons| daemons.len() == 1)
    });
    let alone: BTreeSet<_> = alone.await?.into_iter().collect();
    assert_eq!(found, alone, "of {count}");
    Ok(())
}

#[tokio::test]
async fn i_001_of_many_daemons_that_start_at_once_one_serves() -> Result<()> {
    let world = World::new()?;
    for count in CROWDS.repeat(ROUNDS) {
        one_serves(&world, count).await?;
        // It leaves its socket and its lock behind.
        world.kill_daemon()?;
        assert!(world.socket().exists());
    }
    Ok(())
}

/// The lock names a process that lives and is no daemon: ids are used again.
#[tokio::test]
async fn i_001_a_socket_and_a_lock_that_are_nobodys_are_no_obstacle() -> Result<()> {
    for lock in ["1\n", "", "no number", "4294967295\n"] {
        let world = World::new()?;
        let folder = world.socket().parent().context("a folder")?.to_owned();
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        drop(UnixListener::bind(world.socket())?);
        fs::write(world.socket().with_extension("lock"), lock)?;
        one_serves(&world, 2).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_lies_in_the_sockets_place_and_is_no_socket_is_left_alone_and_said() -> Result<()> {
    let world = World::new()?;
    let folder = world.socket().parent().context("a folder")?.to_owned();
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    fs::write(world.socket(), "somebody's")?;
    let refused = world.ciba(&["token"]).await?;
    assert_eq!(refused.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("it is no socket"), "{refused:?}");
    assert_eq!(fs::read_to_string(world.socket())?, "somebody's");
    Ok(())
}

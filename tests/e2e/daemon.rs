//! The daemon under bad conditions, with the real client at its socket: killed, planted, flooded.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use ciba_tests::{PATIENCE, World, until};

/// Bytes of a line that is too long for any client.
const HUGE: usize = 1 << 30;

/// More of it than this is never taken: I-003's 64 KiB, and what the kernel holds for both ends.
const TAKEN_MAX: usize = 2 << 20;

/// More than it takes to be asked at each moment of one.
const HAND_OVERS: usize = 20;

/// What the daemon may grow by while a client sends it [`HUGE`] bytes.
const GROWTH_MAX: u64 = 4 << 20;

#[tokio::test]
async fn clients_that_wait_hear_at_once_when_the_daemon_is_killed() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    let mut waiting = Vec::new();
    for profile in ["a", "b", "c"] {
        let start = ["start", "--url", &server.url, "--profile", profile];
        waiting.push(world.begin_login(&start).await?);
    }
    world.kill_daemon()?;
    for login in waiting {
        let output = login.end().await?;
        assert_eq!(output.code(), Some(1), "{output:?}");
        assert!(output.stderr.contains("cibad went away"), "{output:?}");
    }

    let next = world.ciba(&["token"]).await?;
    assert_eq!(next.code(), Some(3), "a new daemon knows no login: {next:?}");
    assert!(world.daemon().is_some());
    Ok(())
}

#[tokio::test]
async fn i_001_i_002_a_planted_socket_gets_nothing() -> Result<()> {
    let world = World::new()?;
    let socket = world.socket();
    let folder = socket.parent().context("a folder")?;
    make_folder(folder, 0o700)?;
    let planted = UnixListener::bind(&socket)?;
    planted.set_nonblocking(true)?;

    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    refuses_to_speak(&world, &planted, "chmod 700").await?;

    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    let elsewhere = world.home().join("elsewhere");
    fs::rename(folder, &elsewhere)?;
    symlink(&elsewhere, folder)?;
    refuses_to_speak(&world, &planted, "will not use the socket").await
}

async fn refuses_to_speak(world: &World, planted: &UnixListener, said: &str) -> Result<()> {
    for command in [&["token"][..], &["status"], &["stop"]] {
        let output = world.ciba(command).await?;
        assert_eq!(output.code(), Some(1), "{output:?}");
        assert!(output.stderr.contains(said), "{output:?}");
    }
    let mut daemon = world.spawn_cibad(&[])?;
    assert!(
        !daemon.exit(PATIENCE).await?.success(),
        "the daemon does not serve there either"
    );
    let visitor = planted.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(visitor, Err(ErrorKind::WouldBlock));
    Ok(())
}

#[tokio::test]
async fn a_token_is_there_all_the_while_the_daemon_becomes_another_program() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    let over = AtomicBool::new(false);
    let restart = async {
        for _ in 0..HAND_OVERS {
            let _ = world.ciba(&["restart"]).await?.success();
        }
        over.store(true, Ordering::Relaxed);
        Ok(())
    };
    let ask = async {
        while !over.load(Ordering::Relaxed) {
            let _ = world.ciba(&["token"]).await?.success();
        }
        Ok(())
    };
    tokio::try_join!(restart, ask).map(drop)
}

#[tokio::test]
async fn i_007_a_line_of_a_gibibyte_is_cut_short_and_harms_nobody() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    let token = world.ciba(&["token"]).await?.success();
    let before = resident(&world)?;
    let socket = world.socket();
    let sent = tokio::task::spawn_blocking(move || flood(&socket));
    // Meanwhile others are served.
    assert_eq!(world.ciba(&["token"]).await?.success(), token);
    let sent = sent.await??;
    assert!(sent < TAKEN_MAX, "{sent} bytes were taken");
    let growth = resident(&world)?.saturating_sub(before);
    assert!(growth < GROWTH_MAX, "the daemon grew by {growth} bytes");
    assert_eq!(world.ciba(&["token"]).await?.success(), token);
    Ok(())
}

/// Sends one line until the daemon takes no more; returns how much it took.
fn flood(socket: &Path) -> Result<usize> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let piece = [b'x'; 64 * 1024];
    let mut sent = 0;
    while sent < HUGE {
        match stream.write(&piece) {
            Ok(length) => sent += length,
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                return Ok(sent);
            }
            Err(error) => return Err(error).context("the daemon neither reads nor hangs up"),
        }
    }
    Ok(sent)
}

#[tokio::test]
async fn i_007_clients_that_stall_delay_nobody() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    let mut halfway = UnixStream::connect(world.socket())?;
    halfway.write_all(br#"{"id":1,"op":"#)?;
    // One that asks again and again and never reads an answer.
    let mut deaf = UnixStream::connect(world.socket())?;
    deaf.set_nonblocking(true)?;
    until("the daemon to stop reading", PATIENCE, async || {
        let written = deaf.write(&b"{\"id\":1,\"op\":\"token\"}\n".repeat(1000));
        written
            .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
            .then_some(())
    })
    .await?;
    let _ = world.ciba(&["token"]).await?.success();
    let _ = world.status().await?;

    // And the client that stopped halfway may still finish, if it is in time.
    halfway.write_all(b"\"hello\",\"protocol\":1}\n")?;
    halfway.set_read_timeout(Some(PATIENCE))?;
    let mut answer = [0; 8];
    halfway.read_exact(&mut answer)?;
    assert_eq!(&answer, br#"{"id":1,"#);
    Ok(())
}

fn make_folder(folder: &Path, mode: u32) -> Result<()> {
    Ok(fs::DirBuilder::new().mode(mode).create(folder)?)
}

/// The daemon's resident memory, bytes.
fn resident(world: &World) -> Result<u64> {
    let pid = world.daemon().context("no daemon")?;
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words: Vec<_> = line.context("VmRSS")?.split_whitespace().collect();
    ensure!(words.get(1) == Some(&"kB"), "{words:?}");
    Ok(words[0].parse::<u64>()? * 1024)
}

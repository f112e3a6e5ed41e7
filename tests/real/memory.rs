//! Where the secrets of a login lie in the memory of our programs, as root sees it (D-012, I-008).

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ciba_tests::{PATIENCE, Process, Relay, World, sign_in};
use rustix::process::Pid;
use serde_json::Value;
use tokio::process::Command;

/// A freed block loses its first bytes to the allocator: a secret is searched by pieces of this many, too.
const PIECE: &str = "8";

const SCANNER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/memscan.py");

/// The mappings that a program writes to: its own, the heap, and what has no file behind it.
const WRITTEN: &str = "ciba|heap|stack|anonymous";

/// How often the token is asked for: each time may leave a copy.
const ASKED: usize = 20;

#[tokio::test]
async fn d_012_i_008_the_daemon_holds_each_secret_once_and_the_server_none() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root sees the memory of a process that is not dumpable");
        return Ok(());
    }
    let world = World::new()?;
    let server = world.server_dev().await?;
    let relay = Relay::start(&server.url).await?;
    let login = world.begin_login(&["start", "--url", &relay.url]).await?;
    sign_in(&login.page, "alice", "demo").await?;
    let _ = login.end().await?.success();
    let challenge = relay.challenge().context("a challenge was proven")?;
    let bytes = Base64UrlUnpadded::decode_vec(&challenge)
        .ok()
        .context("base64url")?;
    let mut token = String::new();
    for _ in 0..ASKED {
        token = world.ciba(&["token"]).await?.success();
    }
    let (_, signature) = token.rsplit_once('.').context("a JWT")?;

    let daemon = world.daemon().context("a daemon")?;
    assert_eq!(found(&world, daemon, challenge.as_bytes()).await?, Found::NOWHERE);
    assert_eq!(found(&world, daemon, &bytes).await?, Found::ONCE_AND_LOCKED);
    assert_eq!(
        found(&world, daemon, signature.as_bytes()).await?,
        Found::ONCE_AND_LOCKED
    );

    // What the server opened for the login is gone. The text of the challenge is not asked for: a WebSocket keeps
    // what it last read until something else takes its place.
    let server = server.process.pid().context("a server")?;
    assert_eq!(found(&world, server, &bytes).await?, Found::NOWHERE);
    assert_eq!(found(&world, server, signature.as_bytes()).await?, Found::NOWHERE);
    Ok(())
}

/// What a scan found of a secret.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// The whole secret.
    copies: u64,
    /// Whether something of it, if only a piece, lies in pages that may be swapped out.
    outside_locked_pages: bool,
}

impl Found {
    const NOWHERE: Self = Self {
        copies: 0,
        outside_locked_pages: false,
    };
    const ONCE_AND_LOCKED: Self = Self {
        copies: 1,
        outside_locked_pages: false,
    };
}

/// Looks for a secret, which the scanner reads from a file: arguments are for everybody to see.
async fn found(world: &World, process: Pid, secret: &[u8]) -> Result<Found> {
    let file = world.home().join("secret");
    fs::write(&file, secret)?;
    let mut command = Command::new("python3");
    let pid = process.as_raw_nonzero().to_string();
    command
        .args([SCANNER, &pid, "--parts", PIECE, "--only", WRITTEN])
        .arg(format!("@{}", file.display()));
    let mut scanner = Process::spawn(command)?;
    let summary = scanner
        .wait_json("a summary", PATIENCE, |line| line["scanned_bytes"].is_u64())
        .await?;
    ensure!(
        summary["unreadable_bytes"] == 0,
        "only root sees everything: {summary}"
    );
    let locked = locked_pages(process)?;
    let rows: Vec<Value> = scanner
        .stdout()
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let hits = rows.iter().filter_map(|row| row["range"].as_str());
    let outside = hits
        .map(range)
        .any(|hit| hit.is_none_or(|hit| !locked.contains(&hit)));
    Ok(Found {
        copies: summary["hits"]["p0:file"].as_u64().unwrap_or(0),
        outside_locked_pages: outside,
    })
}

/// The mappings that are never swapped out (`lo` in `VmFlags`).
fn locked_pages(process: Pid) -> Result<Vec<Range<u64>>> {
    let file = Path::new("/proc")
        .join(process.as_raw_nonzero().to_string())
        .join("smaps");
    let mut mapping = None;
    let mut locked = Vec::new();
    for line in fs::read_to_string(file)?.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "VmFlags:" if rest.split(' ').any(|flag| flag == "lo") => locked.extend(mapping.take()),
            _ => mapping = range(first).or(mapping),
        }
    }
    Ok(locked)
}

/// Reads `FROM-TO`, hexadecimal.
fn range(text: &str) -> Option<Range<u64>> {
    let (from, to) = text.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    Some(address(from)?..address(to)?)
}

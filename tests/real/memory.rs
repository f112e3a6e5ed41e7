//! Where the secrets of a login lie in the memory of our programs, as root sees it (D-012, D-052, D-053, I-008).

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ciba_tests::{Keyring, Output, PATIENCE, Process, Relay, Server, World, binary, sign_in, until};
use rustix::process::Pid;
use serde_json::Value;
use tokio::process::Command;

/// A freed block loses its first bytes to the allocator: a secret is searched by pieces of this many, too.
const PIECE: &str = "8";

const SCANNER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/memscan.py");

/// How often the token is asked for: each time may leave a copy.
const ASKED: usize = 20;

/// A login over a relay that has heard its challenge, and everything of it that is secret.
struct Login {
    world: World,
    relay: Relay,
    server: Server,
}

/// What is looked for.
struct Secrets {
    /// The challenge as it is proven.
    text: String,
    /// The challenge itself.
    bytes: Vec<u8>,
    /// The last part of each token; the others are no secret.
    signatures: Vec<String>,
}

impl Login {
    /// Logs in; `None`, with a message, for a user who cannot look.
    async fn of(world: World) -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root sees the memory of a process that is not dumpable");
            return Ok(None);
        }
        let server = world.server_dev().await?;
        let relay = Relay::start(&server.url).await?;
        let login = world.begin_login(&["start", "--url", &relay.url]).await?;
        sign_in(&login.page, "alice", "demo").await?;
        let _ = login.end().await?.success();
        Ok(Some(Self { world, relay, server }))
    }

    /// Asks for tokens, of which the last one is another than the first, and returns what is secret.
    async fn secrets(&self) -> Result<Secrets> {
        let mut signatures = Vec::new();
        let longer = ["token", "--min-valid", "10m"];
        for (arguments, times) in [(&["token"][..], ASKED), (&longer, 1), (&["token"], ASKED)] {
            for _ in 0..times {
                let token = self.world.ciba(arguments).await?.success();
                let (_, signature) = token.rsplit_once('.').context("a JWT")?;
                signatures.push(signature.to_owned());
            }
        }
        signatures.dedup();
        let text = self.relay.challenge().context("a challenge was proven")?;
        let bytes = Base64UrlUnpadded::decode_vec(&text).ok().context("base64url")?;
        Ok(Secrets {
            text,
            bytes,
            signatures,
        })
    }

    fn daemon(&self) -> Result<Pid> {
        self.world.daemon().context("a daemon")
    }

    /// Asserts that the daemon holds the challenge and the last token once, and nothing else of them.
    async fn assert_held_once(&self, secrets: &Secrets) -> Result<()> {
        let seen = found(&self.world, self.daemon()?, &secrets.list()).await?;
        let (text, others) = seen.split_first().context("the text")?;
        let (challenge, tokens) = others.split_first().context("the challenge")?;
        let (last, earlier) = tokens.split_last().context("a token")?;
        assert_eq!((text, challenge), (&Found::NOWHERE, &Found::ONCE_AND_LOCKED));
        assert_eq!(last, &Found::ONCE_AND_LOCKED);
        assert!(!earlier.is_empty() && earlier.iter().all(|token| *token == Found::NOWHERE));
        Ok(())
    }

    /// Asserts that the daemon holds nothing of them.
    async fn assert_held_nowhere(&self, secrets: &Secrets) -> Result<()> {
        let seen = found(&self.world, self.daemon()?, &secrets.list()).await?;
        assert!(seen.iter().all(|secret| *secret == Found::NOWHERE), "{seen:?}");
        Ok(())
    }
}

impl Secrets {
    /// The text of the challenge, the challenge, and each token, the last one last.
    fn list(&self) -> Vec<&[u8]> {
        let tokens = self.signatures.iter().map(String::as_bytes);
        [self.text.as_bytes(), &self.bytes]
            .into_iter()
            .chain(tokens)
            .collect()
    }
}

#[tokio::test]
async fn d_012_i_008_the_daemon_holds_each_secret_once_and_the_server_none() -> Result<()> {
    let Some(login) = Login::of(World::new()?).await? else {
        return Ok(());
    };
    let secrets = login.secrets().await?;
    login.assert_held_once(&secrets).await?;

    // What the server opened for the login is gone. The text of the challenge is not asked for: a WebSocket keeps
    // what it last read until something else takes its place.
    let server = login.server.process.pid().context("a server")?;
    let seen = found(&login.world, server, &secrets.list()[1..]).await?;
    assert!(seen.iter().all(|secret| *secret == Found::NOWHERE), "{seen:?}");
    Ok(())
}

#[tokio::test]
async fn d_052_nothing_of_a_login_that_was_ended_is_left_in_the_daemon() -> Result<()> {
    let Some(login) = Login::of(World::new()?).await? else {
        return Ok(());
    };
    let secrets = login.secrets().await?;
    // Another login, so that the daemon stays.
    let other = ["start", "--url", &login.server.url, "--profile", "other"];
    let other = login.world.begin_login(&other).await?;
    sign_in(&other.page, "bob", "demo").await?;
    let _ = other.end().await?.success();
    let _ = login.world.ciba(&["stop"]).await?.success();
    login.assert_held_nowhere(&secrets).await
}

#[tokio::test]
async fn d_053_a_login_from_the_kernels_keyring_leaves_no_copy_behind() -> Result<()> {
    resumed(World::with_kernel_keyring().await?).await
}

#[tokio::test]
async fn d_053_a_login_from_the_secret_service_leaves_no_copy_behind() -> Result<()> {
    let keyring = Keyring::start().await?;
    resumed(World::with_keyring(&keyring)?).await
}

/// Looks after the login was kept, and again in a daemon that has read it.
async fn resumed(world: World) -> Result<()> {
    let Some(login) = Login::of(world).await? else {
        return Ok(());
    };
    until("the login to be kept", PATIENCE, async || {
        let profile = login.world.status().await.ok()?["profiles"][0].take();
        profile["kept"]["keychain"].is_string().then_some(())
    })
    .await?;
    login.assert_held_once(&login.secrets().await?).await?;
    login.world.kill_daemon()?;
    login.assert_held_once(&login.secrets().await?).await
}

#[tokio::test]
async fn a_login_that_was_handed_over_is_held_once() -> Result<()> {
    let world = World::new()?;
    let program = world.home().join("cibad");
    install(&program).await?;
    let _ = Output::of(&mut world.spawn(world.command(&program))?)
        .await?
        .success();
    let Some(login) = Login::of(world).await? else {
        return Ok(());
    };
    let before = login.daemon()?;
    login.assert_held_once(&login.secrets().await?).await?;
    install(&program).await?;
    let _ = login.world.ciba(&["restart"]).await?.success();
    let secrets = login.secrets().await?;
    assert_eq!(login.daemon()?, before);
    login.assert_held_once(&secrets).await
}

/// Puts the program there as a new file, by another process: what this one writes cannot be run while a child of another
/// test holds it open.
async fn install(program: &Path) -> Result<()> {
    let new = program.with_extension("new");
    let mut copy = Command::new("cp");
    copy.arg(binary("cibad")).arg(&new);
    ensure!(Process::spawn(copy)?.exit(PATIENCE).await?.success());
    Ok(fs::rename(new, program)?)
}

/// What a scan found of a secret.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The whole secret.
    copies: u64,
    /// Whether something of it, if only a piece, lies in pages that may be swapped out.
    outside_locked_pages: bool,
}

impl Found {
    pub(crate) const NOWHERE: Self = Self {
        copies: 0,
        outside_locked_pages: false,
    };
    pub(crate) const ONCE_AND_LOCKED: Self = Self {
        copies: 1,
        outside_locked_pages: false,
    };
}

/// Looks for secrets, which the scanner reads from files: every user can see arguments. Looks again when a mapping
/// went away meanwhile.
pub(crate) async fn found(world: &World, process: Pid, secrets: &[&[u8]]) -> Result<Vec<Found>> {
    let mut files = Vec::new();
    for (number, secret) in secrets.iter().enumerate() {
        let file = world.home().join(format!("secret-{number}"));
        fs::write(&file, secret)?;
        files.push(format!("@{}", file.display()));
    }
    let rows = until("all of its memory", PATIENCE, async || {
        scan(process, &files).await.transpose()
    });
    let (rows, locked) = (rows.await??, locked_pages(process)?);
    let found = (0..secrets.len()).map(|number| Found::of(&format!("p{number}:file"), &rows, &locked));
    Ok(found.collect())
}

/// Returns a row for each mapping with something in it; nothing when not all could be read.
async fn scan(process: Pid, files: &[String]) -> Result<Option<Vec<Value>>> {
    let mut command = Command::new("python3");
    let pid = process.as_raw_nonzero().to_string();
    command
        .args([SCANNER, &pid, "--parts", PIECE, "--writable"])
        .args(files);
    let mut scanner = Process::spawn(command)?;
    let summary = scanner
        .wait_json("a summary", PATIENCE, |line| line["scanned_bytes"].is_u64())
        .await?;
    if summary["unreadable_bytes"] != 0 {
        return Ok(None);
    }
    let rows = scanner.stdout();
    let rows = rows.lines().map(serde_json::from_str::<Value>);
    let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
    Ok(Some(
        rows.into_iter().filter(|row| row["range"].is_string()).collect(),
    ))
}

impl Found {
    /// Reads the rows for one secret: `label` stands for all of it, and begins the labels of its pieces.
    fn of(label: &str, rows: &[Value], locked: &[Range<u64>]) -> Self {
        let holds = |row: &&Value| {
            let hits = row["hits"].as_object();
            hits.is_some_and(|hits| hits.keys().any(|key| key.starts_with(label)))
        };
        let is_locked = |row: &Value| {
            let hit = row["range"].as_str().and_then(range);
            hit.is_some_and(|hit| locked.contains(&hit))
        };
        Self {
            copies: rows.iter().filter_map(|row| row["hits"][label].as_u64()).sum(),
            outside_locked_pages: rows.iter().filter(holds).any(|row| !is_locked(row)),
        }
    }
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

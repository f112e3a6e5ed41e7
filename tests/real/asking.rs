//! What the pages show of asking a person is run as it is written: the README's two terminals, and the three ways of
//! docs/ciba-clients.md. The address of the server is all that is replaced.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use ciba_tests::{Output, PATIENCE, Process, Seat, Server, World, until};
use serde_json::Value;

const README: &str = include_str!("../../README.md");
const PAGE: &str = include_str!("../../docs/ciba-clients.md");

/// Where the pages expect `ciba-server dev`.
const ADDRESS: &str = "http://127.0.0.1:8787";

/// Returns the blocks of a language below a heading, up to the next heading of its level.
fn blocks<'a>(page: &'a str, heading: &str, language: &str) -> Vec<&'a str> {
    let level = heading.split(' ').next().unwrap_or_default();
    let (_, below) = page
        .split_once(&format!("\n{heading}\n"))
        .expect("the heading is there");
    let section = below.split(&format!("\n{level} ")).next().unwrap_or_default();
    let opening = format!("```{language}\n");
    section
        .split(&opening)
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .collect()
}

/// Returns the commands of a console block, without what explains them.
fn commands(block: &str) -> Vec<&str> {
    let lines = block.lines().filter_map(|line| line.strip_prefix("$ "));
    lines
        .map(|line| line.split("  #").next().unwrap_or_default().trim_end())
        .collect()
}

/// A home whose person is logged in, as the README's first terminal is.
async fn person() -> Result<(World, Server)> {
    let first = commands(blocks(README, "## Ask a person first", "console")[0]);
    let expected = [
        "ciba-server dev > /dev/null 2>&1 &",
        "ciba start --url http://127.0.0.1:8787",
    ];
    assert_eq!(first, expected, "which is what follows, without a browser");
    let world = World::new()?;
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    Ok((world, server))
}

/// Starts a text of a page in this shell, and nothing is typed.
fn shell(world: &World, server: &Server, text: &str) -> Result<Process> {
    let mut command = world.command("/bin/sh");
    command.args(["-c", &text.replace(ADDRESS, &server.url)]);
    let mut process = world.spawn(command)?;
    process.close_stdin();
    Ok(process)
}

/// What a builder tries first; every way of the page begins with it.
fn exports() -> &'static str {
    let trying = PAGE.split("```sh\n").nth(1).expect("a first block");
    let exports = trying.split("\n```").next().unwrap_or_default();
    assert!(exports.starts_with("export ISSUER=http://127.0.0.1:8787 "));
    exports
}

/// Waits until the person is asked.
async fn until_asked(world: &World) -> Result<Value> {
    until("the question", PATIENCE, async || {
        let listed = world.ciba(&["approvals", "--json"]).await.ok()?;
        serde_json::from_str(listed.stdout.lines().next()?).ok()
    })
    .await
}

/// The person says yes at a terminal.
async fn approve(world: &World) -> Result<()> {
    let ciba = ciba_tests::binary("ciba");
    let mut seat = Seat::take(world, &format!("{} approve", ciba.display()))?;
    seat.until_shown("Approve? [y/N] ").await?;
    seat.write_line("y").await?;
    let screen = seat.end().await?;
    anyhow::ensure!(screen.contains("Approved: "), "{screen}");
    Ok(())
}

/// The person says yes to what this asks; returns what it printed.
async fn approved(world: &World, asking: &mut Process) -> Result<Output> {
    let asked = until_asked(world).await?;
    assert_eq!(asked["binding_message"], "deploy-7f3a");
    approve(world).await?;
    Output::of(asking).await
}

fn assert_is_token(printed: &str) {
    assert_eq!(
        printed.matches('.').count(),
        2,
        "a JWT and nothing else: {printed}"
    );
    assert!(printed.bytes().all(|byte| byte.is_ascii_graphic()), "{printed}");
}

#[tokio::test]
async fn the_readmes_two_terminals_ask_and_answer() -> Result<()> {
    let (world, server) = person().await?;
    let shown = blocks(README, "## Ask a person first", "console");
    let [keep, request] = commands(shown[1])[..] else {
        panic!("terminal 2: {}", shown[1]);
    };
    let [approve] = commands(shown[2])[..] else {
        panic!("terminal 1: {}", shown[2]);
    };
    let _ = Output::of(&mut shell(&world, &server, keep)?).await?.success();

    let mut asking = shell(&world, &server, request)?;
    until_asked(&world).await?;
    let mut seat = Seat::take(&world, approve)?;
    seat.until_shown("Approve? [y/N] ").await?;
    seat.write_line("y").await?;
    let screen = seat.end().await?;
    for line in shown[2].lines().skip(1).filter(|line| !line.contains("kadZwh6f")) {
        // Labels are bold on a terminal.
        let plain = screen.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
        assert!(plain.contains(line), "{line:?} is not in {plain:?}");
    }
    assert_is_token(&Output::of(&mut asking).await?.success());

    let mut asking = shell(&world, &server, request)?;
    until_asked(&world).await?;
    let _ = world.ciba(&["deny", "--yes"]).await?.success();
    assert_eq!(Output::of(&mut asking).await?.code(), Some(5));

    let short = format!("{request} --requested-expiry 3s");
    let lapsed = Output::of(&mut shell(&world, &server, &short)?).await?;
    assert_eq!(lapsed.code(), Some(6), "{lapsed:?}");
    Ok(())
}

#[tokio::test]
async fn ciba_request_asks_as_the_page_shows_it() -> Result<()> {
    let (world, server) = person().await?;
    let ways = blocks(PAGE, "## With `ciba request`", "sh");
    let text = [exports(), ways[0], ways[1], "printf %s \"$TOKEN\""].join("\n");
    let output = approved(&world, &mut shell(&world, &server, &text)?).await?;
    assert_is_token(output.success().lines().last().unwrap_or_default());
    Ok(())
}

#[tokio::test]
async fn curl_asks_as_the_page_shows_it() -> Result<()> {
    let (world, server) = person().await?;
    let sampler = world.cmdlines();
    let ways = blocks(PAGE, "## With curl", "sh");
    let text = [exports(), ways[0]].join("\n");
    let mut asking = shell(&world, &server, &text)?;
    let output = approved(&world, &mut asking).await?;
    let token = output.success();
    assert_is_token(&token);
    ciba_tests::assert_nowhere(token.as_bytes(), &sampler.stop());

    let mut asking = shell(&world, &server, &text)?;
    until_asked(&world).await?;
    let _ = world.ciba(&["deny", "--yes"]).await?.success();
    let denied = Output::of(&mut asking).await?;
    assert_eq!(
        (denied.code(), denied.stderr.as_str()),
        (Some(1), "access_denied\n")
    );
    Ok(())
}

#[tokio::test]
async fn openid_client_asks_as_the_page_shows_it() -> Result<()> {
    let (world, server) = person().await?;
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/ciba-clients/node_modules");
    symlink(modules, world.home().join("node_modules"))?;
    let script = blocks(PAGE, "## With openid-client in JavaScript", "js");
    fs::write(world.home().join("ask.mjs"), script.first().context("a script")?)?;
    let text = format!("{}\nnode ask.mjs", exports());

    let output = approved(&world, &mut shell(&world, &server, &text)?).await?;
    assert_is_token(&output.success());

    let mut asking = shell(&world, &server, &text)?;
    let asked = until_asked(&world).await?;
    assert_eq!(asked["authorization_details"][0]["service"], "api");
    let _ = world.ciba(&["deny", "--yes"]).await?.success();
    let denied = Output::of(&mut asking).await?;
    assert_eq!(
        (denied.code(), denied.stderr.as_str()),
        (Some(1), "access_denied\n")
    );
    Ok(())
}

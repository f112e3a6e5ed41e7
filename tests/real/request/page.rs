//! docs/ciba-clients.md: what it shows of `ciba request` for a shell does what it says, as it is written.

use std::fs;
use std::path::Path;

use anyhow::Result;
use ciba_tests::{Idp, Output, World, free_port};
use tempfile::NamedTempFile;

use super::Asking;
use crate::tls::Proxy;

/// The page's address for pings; a test takes a free port in its place.
const LISTEN: &str = "127.0.0.1:8790";

/// Returns the blocks for a shell that run `ciba`.
fn blocks() -> Result<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ciba-clients.md");
    let page = fs::read_to_string(page)?;
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| {
        let (block, _) = rest.split_once("```")?;
        let is_of_ciba = block.contains("ciba request") || block.contains("ciba client");
        is_of_ciba.then(|| block.to_owned())
    });
    Ok(blocks.collect())
}

/// Runs a block in a shell that ends at the first failure, and returns what it printed and the token that it took.
async fn run(world: &World, idp: &Idp, block: &str) -> Result<String> {
    let mut command = world.command("/bin/sh");
    command
        .arg("-euc")
        .arg(format!("{block}\nprintf '%s\\n' \"${{TOKEN:-}}\""))
        .envs([
            ("ISSUER", idp.issuer.as_str()),
            ("CLIENT_ID", &idp.client_id),
            ("CLIENT_SECRET", &idp.client_secret),
            ("PERSON", "ada"),
        ]);
    Ok(Output::of(&mut world.spawn(command)?).await?.success())
}

#[tokio::test]
async fn what_the_page_shows_does_what_it_says() -> Result<()> {
    let listen = format!("127.0.0.1:{}", free_port()?);
    let front = Proxy::start(listen.clone()).await?;
    let authority = NamedTempFile::new()?;
    fs::write(&authority, &front.authority)?;
    let url = format!("{}/ping", front.url);
    let of_ping = ["--ciba", "approve", "--ciba-notify-uri", &url];
    let (poll, ping) = (
        Idp::start(&of_ping[..2]).await?,
        Idp::start_trusting(authority.path(), &of_ping).await?,
    );
    let world = World::new()?;
    let asking = Asking {
        world: &world,
        issuer: &ping.issuer,
        client_id: &ping.client_id,
    };
    asking.keep(&ping.client_secret, &[]).await?;

    let mut tokens = 0;
    for block in blocks()? {
        let idp = if block.contains("--mode ping") {
            &ping
        } else {
            &poll
        };
        let printed = run(&world, idp, &block.replace(LISTEN, &listen)).await?;
        if block.contains("ciba request") {
            assert!(printed.trim().len() > 20, "{block}{printed}");
            tokens += 1;
        } else {
            assert!(printed.contains(&poll.issuer), "{block}{printed}");
        }
    }
    assert_eq!(
        tokens, 2,
        "the page shows a request that polls, and one that is pinged"
    );
    Ok(())
}

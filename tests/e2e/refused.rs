//! A token that a service refused: the daemon has a real `ciba-server` make another one, of the login's own resource and of
//! one that is exchanged.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result};
use ciba_tests::World;
use serde_json::{Value, json};

/// The hosts of the rules, and the resources of their tokens: of the login itself, and exchanged.
const RULES: [(&str, &str); 2] = [
    ("own.example.com", "urn:d:unified-gateway"),
    ("other.example.com", "urn:d:other"),
];

fn write_rules(world: &World) -> Result<()> {
    let folder = world.home().join(".config/ciba");
    fs::create_dir_all(&folder)?;
    let rules =
        RULES.map(|(host, resource)| format!("[[host]]\nmatch = \"{host}\"\nresource = \"{resource}\"\n"));
    Ok(fs::write(folder.join("config.toml"), rules.concat())?)
}

/// Asks the daemon for a credential (I-005); returns the token and its number.
fn credential(world: &World, host: &str, refused: Option<u64>) -> Result<(String, u64)> {
    let mut stream = UnixStream::connect(world.socket())?;
    let request = json!({"id": 1, "op": "credential", "url": format!("https://{host}/"), "tool": "git",
        "refused": refused});
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let answer: Value = serde_json::from_str(&line)?;
    let token = answer["ok"]["access_token"]
        .as_str()
        .with_context(|| line.clone())?;
    let serial = answer["ok"]["serial"].as_u64().context("a number")?;
    Ok((token.into(), serial))
}

#[tokio::test]
async fn a_token_that_a_service_refused_is_replaced_of_the_login_s_own_resource_and_of_an_exchanged_one()
-> Result<()> {
    let world = World::new()?;
    write_rules(&world)?;
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    for (host, resource) in RULES {
        let (first, serial) = credential(&world, host, None)?;
        assert_eq!(
            credential(&world, host, None)?,
            (first.clone(), serial),
            "{resource}: it is kept"
        );
        let (second, next) = credential(&world, host, Some(serial))?;
        assert!(second != first && next > serial, "{resource}");
        assert_eq!(
            credential(&world, host, Some(serial))?,
            (second.clone(), next),
            "the newer one"
        );
        // What the tools learn is for all: the command line has the new one too.
        let printed = world.ciba(&["token", "--resource", resource]).await?.success();
        assert_eq!(printed, second, "{resource}");
    }
    Ok(())
}

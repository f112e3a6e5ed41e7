//! `ciba forward` with a real login: another client gets a token of the named resource, and nothing else.

use anyhow::Result;
use ciba_tests::{Output, PATIENCE};
use rustix::process::Signal;

use super::workplace::logged_in;
use crate::site::RESOURCE;

#[tokio::test]
async fn a_client_at_the_forwarded_socket_gets_the_named_token_alone() -> Result<()> {
    let (world, _server) = logged_in().await?;
    let mut near = world.spawn_ciba(&["forward", "--resource", RESOURCE])?;
    let path = |line: &str| line.starts_with('/').then(|| line.to_owned());
    let socket = near.wait_line("the socket", PATIENCE, path).await?;
    let far = async |arguments: &[&str]| {
        let mut command = world.command(ciba_tests::binary("ciba"));
        command.env("CIBA_SOCKET", &socket).args(arguments);
        let mut process = world.spawn(command)?;
        process.close_stdin();
        Output::of(&mut process).await
    };
    assert!(!far(&["token"]).await?.success().is_empty());
    for refused in [
        &["token", "--resource", "urn:d:other"][..],
        &["status"],
        &["stop"],
    ] {
        assert_eq!(far(refused).await?.code(), Some(2), "{refused:?}");
    }
    near.signal(Signal::TERM)?;
    near.exit(PATIENCE).await?;
    Ok(())
}

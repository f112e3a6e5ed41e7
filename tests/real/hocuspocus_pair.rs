//! The kit's two Hocuspocus peers, one against the other: a sealed token's way as they see it.

use anyhow::Result;
use ciba_tests::{PeerServer, Provider};
use serde_json::json;

const CHALLENGE: &str = "a challenge only the device knows";
/// SHA-256 of the challenge, in hex.
const VERIFIER: &str = "abb831fb51da48c2b4e3604c9939b03d77107c66b31d5190629d7e0946c596f7";

#[tokio::test]
async fn a_device_that_proves_possession_is_given_the_token() -> Result<()> {
    let mut server = PeerServer::start(VERIFIER, &[]).await?;
    let url = format!("{}/sync/device", server.url);
    let mut device = Provider::start(&url, "request-1", CHALLENGE, &["--wait-key", "tokens.default"])?;
    assert_eq!(device.script.event("authenticated").await?["scope"], "read-write");
    device.script.event("synced").await?;
    assert_eq!(server.script.event("upgrade").await?["path"], "/sync/device");

    let set =
        json!({ "cmd": "set", "doc": "request-1", "map": "tokens", "key": "default", "value": "sealed" });
    server.done(&set).await?;
    assert_eq!(device.script.event("found").await?["value"], "sealed");
    assert!(device.script.exit().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_wrong_challenge_is_denied() -> Result<()> {
    let mut server = PeerServer::start(VERIFIER, &[]).await?;
    let mut device = Provider::start(&server.url, "request-1", "wrong", &["--exit-on-denied"])?;
    device.script.event("denied").await?;
    assert_eq!(device.script.exit().await?.code(), Some(4));
    assert_eq!(server.script.event("authenticate").await?["ok"], false);
    Ok(())
}

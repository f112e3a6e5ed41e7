//! The kit's provider fails when it is told to, and recovers.

use anyhow::Result;
use ciba_tests::Idp;
use serde_json::json;

#[tokio::test]
async fn a_queued_fault_is_used_up_and_counted() -> Result<()> {
    let idp = Idp::start(&[]).await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let status = async || -> Result<u16> {
        Ok(http
            .get(format!("{}/jwks", idp.issuer))
            .send()
            .await?
            .status()
            .as_u16())
    };

    idp.fail(&json!({ "path": "/jwks", "mode": "status", "status": 503, "times": 1 }))
        .await?;
    assert_eq!(status().await?, 503);
    assert_eq!(status().await?, 200);

    idp.fail(&json!({ "path": "/jwks", "mode": "reset", "times": 0 }))
        .await?;
    assert!(status().await.is_err());
    idp.clear().await?;
    assert_eq!(status().await?, 200);
    assert_eq!(idp.state().await?["requests"]["GET /jwks"], 1);
    Ok(())
}

#[tokio::test]
async fn settings_change_while_it_runs() -> Result<()> {
    let idp = Idp::start(&["--at-ttl", "5"]).await?;
    assert_eq!(idp.state().await?["atTtl"], 5);
    idp.set(&json!({ "atTtl": 2, "login": "auto:alice" })).await?;
    idp.revoke(Some("alice")).await?;
    let state = idp.state().await?;
    assert_eq!(
        (&state["atTtl"], &state["disabled"]),
        (&json!(2), &json!(["alice"]))
    );
    assert!(idp.set(&json!({ "unknown": 1 })).await.is_err());
    Ok(())
}

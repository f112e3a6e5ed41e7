//! `kubectl` against a cluster that says its version.

use anyhow::Result;
use axum::http::request::Parts;
use axum::response::Response;
use ciba_tests::{Gate, Offer};
use serde_json::json as object;

use super::desk::{Desk, json, shows_another_after_the_end};

pub(super) fn cluster(_: &Parts) -> Response {
    json(&object!({ "major": "1", "minor": "33", "gitVersion": "v1.33.0" }))
}

/// Writes the kubeconfig as a person does: the cluster by kubectl, the user by `ciba kube setup`.
async fn configure(desk: &Desk, cluster: &Gate) -> Result<()> {
    let authority = desk.file("authority.pem", &cluster.authority)?;
    let server = format!("--server={}", cluster.url);
    let authority = format!("--certificate-authority={authority}");
    for arguments in [
        &["config", "set-cluster", "c", &server, &authority][..],
        &["config", "set-context", "x", "--cluster=c", "--user=ciba"],
        &["config", "use-context", "x"],
    ] {
        let _ = desk.run("kubectl", arguments, &[]).await?.success();
    }
    let _ = desk.run("ciba", &["kube", "setup"], &[]).await?.success();
    Ok(())
}

const VERSION: [&str; 3] = ["get", "--raw", "/version"];

#[tokio::test]
async fn kubectl_has_a_token_and_after_its_end_another_one() -> Result<()> {
    let desk = Desk::logged_in().await?;
    let cluster = desk.tls_gate(Offer::Bearer, cluster).await?;
    desk.rule(cluster.host(), "kubectl").await?;
    configure(&desk, &cluster).await?;
    shows_another_after_the_end(&cluster, async || {
        let _ = desk.run("kubectl", &VERSION, &[]).await?.success();
        Ok(())
    })
    .await
}

#[tokio::test]
async fn kubectl_without_a_login_or_a_rule_ends_with_the_cure() -> Result<()> {
    for (rule, said) in [(None, "ciba start"), (Some("other.example.com"), "rule")] {
        let desk = Desk::logged_out().await?;
        let cluster = desk.tls_gate(Offer::Bearer, cluster).await?;
        desk.rule(rule.unwrap_or(cluster.host()), "kubectl").await?;
        configure(&desk, &cluster).await?;
        let refused = desk.run("kubectl", &VERSION, &[]).await?;
        assert_ne!(refused.code(), Some(0), "{refused:?}");
        assert!(refused.stderr.contains(said), "{refused:?}");
        // kubectl asks no cluster for which it has no credential.
        assert!(cluster.tokens().is_empty(), "{:?}", cluster.seen());
    }
    Ok(())
}

//! The docker CLI, without an engine, against a registry that takes Basic.

use anyhow::Result;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use ciba_tests::{Gate, Offer, Output};
use serde_json::json as object;

use super::desk::{Desk, json, shows_another_after_the_end};
use super::workplace::assert_no_token;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Of the image's configuration, `{}`.
const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

pub(super) fn registry(head: &Parts) -> Response {
    if !head.uri.path().contains("/manifests/") {
        return json(&object!({}));
    }
    let part = object!({ "mediaType": "application/vnd.docker.container.image.v1+json", "digest": DIGEST, "size": 2 });
    let manifest = object!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": part, "layers": [] });
    ([(CONTENT_TYPE, MANIFEST)], manifest.to_string()).into_response()
}

async fn inspect(desk: &Desk, registry: &Gate) -> Result<Output> {
    let setup = ["docker", "setup", registry.host()];
    let _ = desk.run("ciba", &setup, &[]).await?.success();
    let image = format!("{}/x:latest", registry.host());
    let arguments = ["manifest", "inspect", "--insecure", &image];
    desk.run("docker", &arguments, &[]).await
}

#[tokio::test]
async fn docker_has_a_token_and_after_its_end_another_one() -> Result<()> {
    let desk = Desk::logged_in().await?;
    let registry = desk.tls_gate(Offer::Basic, registry).await?;
    desk.rule(registry.host(), "docker").await?;
    shows_another_after_the_end(&registry, async || {
        let _ = inspect(&desk, &registry).await?.success();
        Ok(())
    })
    .await
}

#[tokio::test]
async fn docker_without_a_login_or_a_rule_goes_on_without_a_token_and_says_why() -> Result<()> {
    for (rule, said) in [(None, "ciba start"), (Some("other.example.com"), "rule")] {
        let desk = Desk::logged_out().await?;
        let registry = desk.tls_gate(Offer::Basic, registry).await?;
        desk.rule(rule.unwrap_or(registry.host()), "docker").await?;
        let refused = inspect(&desk, &registry).await?;
        assert_ne!(refused.code(), Some(0), "{refused:?}");
        assert!(refused.stderr.contains(said), "{refused:?}");
        assert_no_token(&registry);
    }
    Ok(())
}

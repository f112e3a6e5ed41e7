//! The docker CLI, without an engine, against a registry that takes Basic.

use anyhow::Result;
use serde_json::json;
use wiremock::{Request, ResponseTemplate};

use super::service::{Desk, Service};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Of the image's configuration, `{}`.
const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn registry(request: &Request) -> ResponseTemplate {
    if !request.url.path().contains("/manifests/") {
        return ResponseTemplate::new(200).set_body_json(json!({}));
    }
    let part =
        json!({ "mediaType": "application/vnd.docker.container.image.v1+json", "digest": DIGEST, "size": 2 });
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": part, "layers": [] });
    ResponseTemplate::new(200).set_body_raw(manifest.to_string(), MANIFEST)
}

#[tokio::test]
async fn docker_without_a_login_or_a_rule_goes_on_without_a_token_and_says_why() -> Result<()> {
    let service = Service::start("Basic realm=\"r\"", registry).await?;
    for (rule, said) in [(service.host(), "ciba start"), ("other.example.com", "rule")] {
        let desk = Desk::logged_out(rule, "docker").await?;
        let refused = inspect(&desk, &service).await?;
        assert_ne!(refused.code(), Some(0), "{refused:?}");
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
    assert_eq!(service.tokens().await, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn docker_has_a_token_and_after_its_end_another_one() -> Result<()> {
    let service = Service::start("Basic realm=\"r\"", registry).await?;
    let desk = Desk::logged_in(service.host(), "docker").await?;
    desk.runs_across_an_expiry(&service, async || inspect(&desk, &service).await)
        .await
}

async fn inspect(desk: &Desk, service: &Service) -> Result<ciba_tests::Output> {
    let setup = ["docker", "setup", service.host()];
    let _ = desk.run("ciba", &setup, &[]).await?.success();
    let image = format!("{}/x:latest", service.host());
    let arguments = ["manifest", "inspect", "--insecure", &image];
    desk.run("docker", &arguments, &[]).await
}

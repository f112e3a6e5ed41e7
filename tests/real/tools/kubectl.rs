//! `kubectl` against a cluster that says its version.

use anyhow::Result;
use serde_json::json;
use wiremock::ResponseTemplate;

use super::service::{Desk, Service};

async fn cluster() -> Result<Service> {
    Service::start("Bearer", |_| {
        ResponseTemplate::new(200)
            .set_body_json(json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.0" }))
    })
    .await
}

/// Writes the kubeconfig as a person does: the cluster by kubectl, the user by `ciba kube setup`.
async fn configure(desk: &Desk, cluster: &Service) -> Result<()> {
    let authority = desk.file("authority.pem", cluster.authority())?;
    let server = format!("--server={}", cluster.url());
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
    let cluster = cluster().await?;
    let desk = Desk::logged_in(cluster.host(), "kubectl").await?;
    configure(&desk, &cluster).await?;
    desk.runs_across_an_expiry(&cluster, async || desk.run("kubectl", &VERSION, &[]).await)
        .await
}

#[tokio::test]
async fn kubectl_without_a_login_or_a_rule_ends_with_the_cure() -> Result<()> {
    let cluster = cluster().await?;
    for (rule, said) in [(cluster.host(), "ciba start"), ("other.example.com", "rule")] {
        let desk = Desk::logged_out(rule, "kubectl").await?;
        configure(&desk, &cluster).await?;
        let refused = desk.run("kubectl", &VERSION, &[]).await?;
        assert_ne!(refused.code(), Some(0), "{refused:?}");
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
    assert_eq!(cluster.tokens().await, Vec::<String>::new());
    Ok(())
}

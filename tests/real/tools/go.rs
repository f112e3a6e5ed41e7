//! go against a module proxy that wants a token.

use anyhow::Result;
use ciba_tests::Output;
use wiremock::{Request, ResponseTemplate};

use super::service::{Desk, Service};

fn proxy(request: &Request) -> ResponseTemplate {
    let body = match request.url.path().rsplit('/').next() {
        Some("list") => "v1.0.0\n",
        Some("v1.0.0.info") => r#"{"Version":"v1.0.0"}"#,
        Some("v1.0.0.mod") => "module example.com/mod\n",
        _ => return ResponseTemplate::new(404),
    };
    ResponseTemplate::new(200).set_body_string(body)
}

async fn list(desk: &Desk, service: &Service) -> Result<Output> {
    let authority = desk.file("authority.pem", service.authority())?;
    let goauth = format!("{} goauth", desk.link("ciba"));
    let home = desk.site.world.home().join("go").display().to_string();
    let cache = format!("{home}-cache");
    let variables = [
        ("GOPROXY", service.url()),
        ("GOAUTH", &goauth),
        ("SSL_CERT_FILE", &authority),
        ("GOSUMDB", "off"),
        ("GOTOOLCHAIN", "local"),
        ("GOPATH", &home),
        ("GOCACHE", &cache),
    ];
    desk.run("go", &["list", "-m", "-versions", "example.com/mod"], &variables)
        .await
}

#[tokio::test]
async fn go_has_a_token_and_after_its_end_another_one() -> Result<()> {
    let service = Service::start("Bearer", proxy).await?;
    let desk = Desk::logged_in(service.host(), "go").await?;
    desk.runs_across_an_expiry(&service, async || list(&desk, &service).await)
        .await
}

/// The proxy refuses what go was given before it asked; go then tells `ciba`.
#[tokio::test]
async fn go_recovers_from_a_revoked_token_in_one_command() -> Result<()> {
    let service = Service::start("Bearer", proxy).await?;
    let desk = Desk::logged_in(service.host(), "go").await?;
    let _ = list(&desk, &service).await?.success();
    service.revoke_all().await;
    let _ = list(&desk, &service).await?.success();
    assert!(service.tokens().await.len() >= 2);
    Ok(())
}

#[tokio::test]
async fn go_without_a_login_or_a_rule_is_refused_by_the_service() -> Result<()> {
    let service = Service::start("Bearer", proxy).await?;
    for rule in [service.host(), "other.example.com"] {
        let desk = Desk::logged_out(rule, "go").await?;
        let refused = list(&desk, &service).await?;
        assert_ne!(refused.code(), Some(0), "{refused:?}");
        assert!(refused.stderr.contains("401"), "{refused:?}");
    }
    assert_eq!(service.tokens().await, Vec::<String>::new());
    Ok(())
}

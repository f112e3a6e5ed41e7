//! go against a module proxy that wants a token.

use anyhow::Result;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use ciba_tests::{Gate, Offer, Output};

use super::desk::{Desk, shows_another_after_the_end};
use super::workplace::assert_no_token;

pub(super) fn proxy(head: &Parts) -> Response {
    match head.uri.path().rsplit('/').next() {
        Some("list") => "v1.0.0\n".into_response(),
        Some("v1.0.0.info") => r#"{"Version":"v1.0.0"}"#.into_response(),
        Some("v1.0.0.mod") => "module example.com/mod\n".into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn list(desk: &Desk, proxy: &Gate) -> Result<Output> {
    let authority = desk.file("authority.pem", &proxy.authority)?;
    let goauth = format!("{} goauth", desk.link("ciba"));
    let home = desk.site.world.home().join("go").display().to_string();
    let cache = format!("{home}-cache");
    let variables = [
        ("GOPROXY", proxy.url.as_str()),
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
    let desk = Desk::logged_in().await?;
    let proxy = desk.tls_gate(Offer::Bearer, proxy).await?;
    desk.rule(proxy.host(), "go").await?;
    shows_another_after_the_end(&proxy, async || {
        let _ = list(&desk, &proxy).await?.success();
        Ok(())
    })
    .await
}

/// The proxy refuses what go was given before it asked; go then tells `ciba`.
#[tokio::test]
async fn go_recovers_from_a_revoked_token_in_one_command() -> Result<()> {
    let desk = Desk::logged_in().await?;
    let proxy = desk.tls_gate(Offer::Bearer, proxy).await?;
    desk.rule(proxy.host(), "go").await?;
    let _ = list(&desk, &proxy).await?.success();
    proxy.revoke_all();
    let _ = list(&desk, &proxy).await?.success();
    let shown = proxy.tokens();
    assert_ne!(shown.first(), shown.last());
    Ok(())
}

#[tokio::test]
async fn go_without_a_login_or_a_rule_is_refused_by_the_service() -> Result<()> {
    for rule in [None, Some("other.example.com")] {
        let desk = Desk::logged_out().await?;
        let proxy = desk.tls_gate(Offer::Bearer, proxy).await?;
        desk.rule(rule.unwrap_or(proxy.host()), "go").await?;
        let refused = list(&desk, &proxy).await?;
        assert_ne!(refused.code(), Some(0), "{refused:?}");
        assert!(refused.stderr.contains("401"), "{refused:?}");
        assert_no_token(&proxy);
    }
    Ok(())
}

//! cargo against a sparse registry that wants a token.

use anyhow::Result;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use ciba_tests::{Gate, Offer, Output};
use serde_json::json as object;

use super::desk::{Desk, json, shows_another_after_the_end};
use super::workplace::assert_no_token;

/// An index that holds no crate: cargo says so when it was let in.
fn index(head: &Parts) -> Response {
    if !head.uri.path().ends_with("/config.json") {
        return StatusCode::NOT_FOUND.into_response();
    }
    let address = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let url = format!("http://{}/dl", address.unwrap_or_default());
    json(&object!({ "dl": url, "auth-required": true }))
}

/// Asks for a crate of the registry, without a cache of an earlier answer.
async fn fetch(desk: &Desk, registry: &Gate, provider: &str) -> Result<Output> {
    let index = format!("sparse+{}/index/", registry.url);
    let config = format!("[registries.r]\nindex = \"{index}\"\ncredential-provider = {provider}\n");
    let home = tempfile::tempdir()?;
    std::fs::write(home.path().join("config.toml"), config)?;
    let manifest = "[package]\nname = \"p\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nciba-test = { version = \"1\", registry = \"r\" }\n";
    let manifest = desk.file("p/Cargo.toml", manifest)?;
    let _ = desk.file("p/src/lib.rs", "")?;
    let home = home.path().display().to_string();
    let rustup = std::env::var("RUSTUP_HOME").unwrap_or(format!("{}/.rustup", std::env::var("HOME")?));
    let variables = [("CARGO_HOME", home.as_str()), ("RUSTUP_HOME", &rustup)];
    desk.run("cargo", &["fetch", "--manifest-path", &manifest], &variables)
        .await
}

/// The registry by both ways in which cargo gets a token.
async fn gets_tokens(provider: impl Fn(&Desk) -> String) -> Result<()> {
    let desk = Desk::logged_in().await?;
    let registry = desk.gate(Offer::Bearer, index).await?;
    desk.rule(&registry.url, "cargo").await?;
    shows_another_after_the_end(&registry, async || {
        let fetched = fetch(&desk, &registry, &provider(&desk)).await?;
        let let_in = "no matching package named `ciba-test` found";
        assert!(fetched.stderr.contains(let_in), "{fetched:?}");
        Ok(())
    })
    .await
}

fn plugin(desk: &Desk) -> String {
    format!("[\"{}\"]", desk.link("cargo-credential-ciba"))
}

#[tokio::test]
async fn cargo_has_a_token_and_after_its_end_another_one() -> Result<()> {
    gets_tokens(plugin).await
}

#[tokio::test]
async fn cargo_has_a_token_from_standard_output() -> Result<()> {
    gets_tokens(|desk| {
        let ciba = desk.link("ciba");
        format!("[\"cargo:token-from-stdout\", \"{ciba}\", \"token\", \"--bearer\"]")
    })
    .await
}

#[tokio::test]
async fn cargo_without_a_login_or_a_rule_ends_with_a_readable_line() -> Result<()> {
    for (rule, said) in [
        (None, "ciba start"),
        (Some("other.example.com"), "no credential providers"),
    ] {
        let desk = Desk::logged_out().await?;
        let registry = desk.gate(Offer::Bearer, index).await?;
        desk.rule(rule.unwrap_or(&registry.url), "cargo").await?;
        let refused = fetch(&desk, &registry, &plugin(&desk)).await?;
        assert_eq!(refused.code(), Some(101), "{refused:?}");
        assert!(refused.stderr.contains(said), "{refused:?}");
        assert_no_token(&registry);
    }
    Ok(())
}

//! cargo against a sparse registry that wants a token.

use anyhow::Result;
use ciba_tests::Output;
use serde_json::json;
use wiremock::{Request, ResponseTemplate};

use super::service::{Desk, Service};

/// An index that holds no crate: cargo says so when it was let in.
fn index(request: &Request) -> ResponseTemplate {
    if !request.url.path().ends_with("/config.json") {
        return ResponseTemplate::new(404);
    }
    let address = request.headers.get("Host").and_then(|host| host.to_str().ok());
    let url = format!("http://{}/dl", address.unwrap_or_default());
    ResponseTemplate::new(200).set_body_json(json!({ "dl": url, "auth-required": true }))
}

async fn start() -> Result<Service> {
    Service::start("Bearer", index).await
}

/// Asks for a crate of the registry, without a cache of an earlier answer.
async fn fetch(desk: &Desk, service: &Service, provider: &str) -> Result<Output> {
    let registry = format!("sparse+http://{}/index/", service.plain());
    let config = format!("[registries.r]\nindex = \"{registry}\"\ncredential-provider = {provider}\n");
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
    let service = start().await?;
    let desk = Desk::logged_in(&format!("http://{}", service.plain()), "cargo").await?;
    for _ in 0..2 {
        let fetched = fetch(&desk, &service, &provider(&desk)).await?;
        assert!(
            fetched
                .stderr
                .contains("no matching package named `ciba-test` found"),
            "{fetched:?}"
        );
        desk.until_ended(&service).await?;
    }
    assert!(service.tokens().await.len() >= 2);
    Ok(())
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
    let service = start().await?;
    let ours = format!("http://{}", service.plain());
    for (rule, said) in [
        (&*ours, "ciba start"),
        ("other.example.com", "no credential providers"),
    ] {
        let desk = Desk::logged_out(rule, "cargo").await?;
        let refused = fetch(&desk, &service, &plugin(&desk)).await?;
        assert_eq!(refused.code(), Some(101), "{refused:?}");
        assert!(refused.stderr.contains(said), "{refused:?}");
    }
    assert_eq!(service.tokens().await, Vec::<String>::new());
    Ok(())
}

//! pip and uv ask the program `keyring` for the password of an index.

use anyhow::Result;
use ciba_tests::Output;
use wiremock::{Request, ResponseTemplate};

use super::service::{Desk, Service};

/// An index with one project that has no file: both tools say so when they were let in.
fn index(_: &Request) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw("<!DOCTYPE html><html><body></body></html>", "text/html")
}

/// What both tools say of a project without a file.
const LET_IN: [&str; 2] = ["No matching distribution found", "no versions of ciba-test"];

async fn start() -> Result<Service> {
    Service::start("Basic realm=\"index\"", index).await
}

async fn ask(desk: &Desk, service: &Service, tool: &str) -> Result<Output> {
    let index = format!("http://oauth2@{}/simple/", service.plain());
    let arguments = match tool {
        "uv" => &["pip", "install", "--no-cache", "--target=t", "--no-progress"][..],
        _ => &[
            "-m",
            "pip",
            "install",
            "--no-cache-dir",
            "--target=t",
            "--no-input",
            "--disable-pip-version-check",
        ],
    };
    let rest = [
        "--keyring-provider",
        "subprocess",
        "--index-url",
        &index,
        "ciba-test",
    ];
    let program = if tool == "uv" { "uv" } else { "python3" };
    desk.run(program, &[arguments, &rest].concat(), &[]).await
}

async fn gets_tokens(tool: &str) -> Result<()> {
    let service = start().await?;
    let desk = Desk::logged_in(&format!("http://{}", service.plain()), "keyring").await?;
    for _ in 0..2 {
        let asked = ask(&desk, &service, tool).await?;
        assert!(LET_IN.iter().any(|text| asked.stderr.contains(text)), "{asked:?}");
        desk.until_ended(&service).await?;
    }
    assert!(service.tokens().await.len() >= 2);
    Ok(())
}

async fn is_let_down(tool: &str) -> Result<()> {
    let service = start().await?;
    for rule in [&*format!("http://{}", service.plain()), "other.example.com"] {
        let desk = Desk::logged_out(rule, "keyring").await?;
        let asked = ask(&desk, &service, tool).await?;
        assert_ne!(asked.code(), Some(0), "{asked:?}");
    }
    assert_eq!(service.tokens().await, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn pip_has_a_token_and_after_its_end_another_one() -> Result<()> {
    gets_tokens("pip").await
}

#[tokio::test]
async fn uv_has_a_token_and_after_its_end_another_one() -> Result<()> {
    gets_tokens("uv").await
}

#[tokio::test]
async fn pip_without_a_login_or_a_rule_ends() -> Result<()> {
    is_let_down("pip").await
}

#[tokio::test]
async fn uv_without_a_login_or_a_rule_ends() -> Result<()> {
    is_let_down("uv").await
}

//! pip and uv ask the program `keyring` for the password of an index.

use anyhow::Result;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse as _, Response};
use ciba_tests::{Gate, Offer, Output};

use super::desk::{Desk, shows_another_after_the_end};

/// An index with one project that has no file: both tools say so when they were let in.
fn index(_: &Parts) -> Response {
    Html("<!DOCTYPE html><html><body></body></html>").into_response()
}

/// What both tools say of a project without a file.
const LET_IN: [&str; 2] = ["No matching distribution found", "no versions of ciba-test"];

async fn ask(desk: &Desk, index: &Gate, tool: &str) -> Result<Output> {
    let index = format!("http://oauth2@{}/simple/", index.host());
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
    let desk = Desk::logged_in().await?;
    let index = desk.gate(Offer::Basic, index).await?;
    desk.rule(&index.url, "keyring").await?;
    shows_another_after_the_end(&index, async || {
        let asked = ask(&desk, &index, tool).await?;
        assert!(LET_IN.iter().any(|text| asked.stderr.contains(text)), "{asked:?}");
        Ok(())
    })
    .await
}

async fn is_let_down(tool: &str) -> Result<()> {
    for rule in [None, Some("other.example.com")] {
        let desk = Desk::logged_out().await?;
        let index = desk.gate(Offer::Basic, index).await?;
        desk.rule(rule.unwrap_or(&index.url), "keyring").await?;
        let asked = ask(&desk, &index, tool).await?;
        assert_ne!(asked.code(), Some(0), "{asked:?}");
        assert!(index.tokens().is_empty(), "{:?}", index.seen());
    }
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

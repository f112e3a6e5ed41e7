//! npm and pnpm against a registry that wants a token: `ciba exec` gives it to them in a variable that their settings name.

use anyhow::Result;
use axum::http::request::Parts;
use axum::response::Response;
use ciba_tests::{Gate, Offer, Output};
use serde_json::json as object;

use super::desk::{Desk, json, shows_another_after_the_end};

/// A registry with one package.
pub(super) fn registry(_: &Parts) -> Response {
    let dist =
        object!({ "tarball": "https://npm.example.com/demo/-/demo-1.2.3.tgz", "shasum": "0".repeat(40) });
    let version = object!({ "name": "demo", "version": "1.2.3", "dist": dist });
    json(&object!({
        "name": "demo", "dist-tags": { "latest": "1.2.3" }, "versions": { "1.2.3": version },
    }))
}

/// Asks for the package's version.
async fn view(desk: &Desk, registry: &Gate, tool: &[&str]) -> Result<Output> {
    let settings = format!("//{}/:_authToken=${{CIBA_TOKEN}}\n", registry.host());
    desk.file(".npmrc", &settings)?;
    let url = format!("{}/", registry.url);
    let rest = ["view", "demo", "version", "--registry", &url];
    desk.run(tool[0], &[&tool[1..], &rest].concat(), &[]).await
}

#[tokio::test]
async fn npm_and_pnpm_have_a_token_and_after_its_end_another_one() -> Result<()> {
    for tool in ["npm", "pnpm"] {
        let desk = Desk::logged_in().await?;
        let registry = desk.gate(Offer::Bearer, registry).await?;
        shows_another_after_the_end(&registry, async || {
            let viewed = view(&desk, &registry, &["ciba", "exec", "--", tool]).await?;
            assert_eq!(viewed.success(), "1.2.3", "{tool}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn npm_without_a_login_does_not_run_and_without_ciba_is_refused() -> Result<()> {
    let desk = Desk::logged_out().await?;
    let registry = desk.gate(Offer::Bearer, registry).await?;
    let refused = view(&desk, &registry, &["ciba", "exec", "--", "npm"]).await?;
    assert_eq!(refused.code(), Some(3), "{refused:?}");
    assert!(refused.stderr.contains("ciba start"), "{refused:?}");
    assert!(registry.seen().is_empty(), "{:?}", registry.seen());
    let refused = view(&desk, &registry, &["npm"]).await?;
    assert_ne!(refused.code(), Some(0), "{refused:?}");
    assert!(registry.seen().iter().all(|seen| seen.status == 401));
    Ok(())
}

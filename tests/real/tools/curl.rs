//! curl by `ciba curl` and by `ciba curlrc`, from the rule that `ciba allow` writes to the line of the audit.

use std::fs;

use anyhow::Result;
use axum::response::IntoResponse as _;
use ciba_tests::{Gate, Offer, Service, assert_nowhere};

use super::desk::{Desk, shows_another_after_the_end};
use super::workplace::{assert_no_token, logged_in};
use crate::site::RESOURCE;

#[tokio::test]
async fn curl_has_the_token_of_the_rule_and_no_redirect_has_it() -> Result<()> {
    let (world, server) = logged_in().await?;
    let gate = Gate::start(&server.url, Offer::Bearer, Service::Files(world.home())).await?;
    let other = Gate::start(&server.url, Offer::Bearer, Service::Files(world.home())).await?;
    let refused = world.ciba(&["curl", "--", "-sS", &gate.url]).await?;
    assert_eq!(refused.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("ciba allow"), "{refused:?}");

    let rule = ["allow", &gate.url, "--resource", RESOURCE, "--tool", "curl"];
    let _ = world.ciba(&rule).await?.success();
    let _ = world.ciba(&["config", "check"]).await?.success();
    fs::write(world.home().join("page"), "hello")?;
    let url = format!("{}/page", gate.url);
    let sampler = world.cmdlines();
    assert_eq!(
        world
            .ciba(&["curl", "--", "-sS", "--fail", &url])
            .await?
            .success(),
        "hello"
    );
    let tokens = gate.tokens();
    assert_eq!(tokens.len(), 1);
    assert_nowhere(tokens[0].as_bytes(), &sampler.stop());
    let audit = world.ciba(&["audit"]).await?.success();
    assert!(audit.contains("  curl  127.0.0.1"), "{audit}");
    assert!(!audit.contains(&tokens[0]));

    gate.redirect(&other.url);
    let _ = world.ciba(&["curl", "--", "-sSL", &url]).await?;
    assert_no_token(&other);
    Ok(())
}

#[tokio::test]
async fn a_rule_that_the_daemon_does_not_take_leaves_the_file_as_it_was() -> Result<()> {
    let (world, _server) = logged_in().await?;
    let good = ["allow", "git.example.com", "--resource", RESOURCE];
    let _ = world.ciba(&good).await?.success();
    let file = world.ciba(&["config", "path"]).await?.success();
    let before = fs::read_to_string(&file)?;
    let bad = ["allow", "*example.com", "--resource", RESOURCE];
    let refused = world.ciba(&bad).await?;
    assert_eq!(refused.code(), Some(2), "{refused:?}");
    assert_eq!(fs::read_to_string(&file)?, before);
    let _ = world.ciba(&["config", "check"]).await?;
    let shown = world.ciba(&["config", "show"]).await?.success();
    assert!(shown.starts_with("git.example.com  "), "{shown}");
    Ok(())
}

#[tokio::test]
async fn curl_has_a_token_by_both_ways_and_after_its_end_another_one() -> Result<()> {
    for line in [
        "ciba curl -- -sS --fail \"$0\"",
        "ciba curlrc \"$0\" | curl -sS --fail -K - \"$0\"",
    ] {
        let desk = Desk::logged_in().await?;
        let gate = desk.gate(Offer::Bearer, |_| "hello".into_response()).await?;
        desk.rule(&gate.url, "curl").await?;
        let url = format!("{}/page", gate.url);
        shows_another_after_the_end(&gate, async || {
            let printed = desk.run("sh", &["-c", line, &url], &[]).await?.success();
            assert_eq!(printed, "hello", "{line}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

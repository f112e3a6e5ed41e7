//! The demo API, and userinfo beside it: who gets in with which token.

use reqwest::StatusCode;
use reqwest::header::WWW_AUTHENTICATE;
use serde_json::Value;

use crate::{Idp, part, text};

#[tokio::test]
async fn a_token_meant_for_the_api_opens_it() {
    let idp = Idp::start().await;
    let tokens = idp.tokens().await;
    let token = text(&tokens, "access_token");
    for (token, audience) in [
        (token, "urn:d:unified-gateway"),
        (&idp.token_for("demo-api").await, "demo-api"),
    ] {
        let answer: Value = idp.whoami(token).await.json().await.unwrap();
        assert_eq!((text(&answer, "sub"), text(&answer, "aud")), ("alice", audience));
        assert_eq!(answer["exp"], part(token, 1)["exp"]);
        assert_eq!(text(&answer, "scope"), "api:read offline_access openid");
    }
}

#[tokio::test]
async fn every_other_token_is_refused_with_a_challenge() {
    let idp = Idp::start().await;
    let tokens = idp.tokens().await;
    let foreign = Idp::start().await.tokens().await;
    let (head, signature) = text(&tokens, "access_token").rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    let elsewhere = idp.token_for("demo-other").await;
    for token in [
        "x",
        &forged,
        &elsewhere,
        text(&tokens, "id_token"),
        text(&foreign, "access_token"),
    ] {
        let response = idp.whoami(token).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(
            challenge.starts_with(r#"Bearer error="invalid_token""#),
            "{challenge}"
        );
    }
}

#[tokio::test]
async fn the_first_callers_all_wait_for_the_keys() {
    let idp = Idp::start().await;
    let token = idp.token_for("demo-api").await;
    let callers = (0..16).map(|_| idp.whoami(&token));
    for response in futures_util::future::join_all(callers).await {
        assert_eq!(response.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_missing_token_is_challenged_without_an_error() {
    let idp = Idp::start().await;
    let response = idp
        .http
        .get(format!("{}/whoami", idp.demo_api))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer");
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let idp = Idp::start().await;
    let tokens = idp.tokens().await;
    let token = text(&tokens, "access_token");
    idp.pass(299);
    assert_eq!(idp.whoami(token).await.status(), StatusCode::OK);
    assert_eq!(idp.userinfo(token).await.status(), StatusCode::OK);
    idp.pass(1);
    assert_eq!(idp.whoami(token).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(idp.userinfo(token).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn userinfo_refuses_a_token_made_for_somebody_else() {
    let idp = Idp::start().await;
    let token = idp.token_for("demo-api").await;
    assert_eq!(idp.userinfo(&token).await.status(), StatusCode::UNAUTHORIZED);
}

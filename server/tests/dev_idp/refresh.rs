//! Refresh tokens rotate, and a family has one living member.

use ciba_server::dev::RefreshTokens;
use reqwest::StatusCode;
use serde_json::Value;

use crate::{Idp, LoginPage, REDIRECT_URI, VERIFIER, bad_request, parameter, text};

#[tokio::test]
async fn a_refresh_rotates_and_reuse_ends_the_family() {
    let idp = Idp::start().await;
    let first = idp.tokens().await;
    let second: Value = idp.refresh(&first).await.json().await.unwrap();
    assert_ne!(text(&first, "refresh_token"), text(&second, "refresh_token"));
    let third: Value = idp.refresh(&second).await.json().await.unwrap();
    assert_eq!(
        idp.userinfo(text(&third, "access_token")).await.status(),
        StatusCode::OK
    );

    bad_request(idp.refresh(&first).await, "invalid_grant").await;
    bad_request(idp.refresh(&third).await, "invalid_grant").await;
    assert_eq!(
        idp.userinfo(text(&third, "access_token")).await.status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_refresh_may_narrow_the_scope_and_a_wider_one_costs_nothing() {
    let idp = Idp::start().await;
    let tokens = idp.tokens().await;
    let token = text(&tokens, "refresh_token");
    let form = |scope| {
        [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("scope", scope),
        ]
    };
    bad_request(idp.post("/token", &form("openid email")).await, "invalid_scope").await;
    let narrowed: Value = idp.post("/token", &form("openid")).await.json().await.unwrap();
    assert_eq!(text(&narrowed, "scope"), "openid");
    let whole: Value = idp.refresh(&narrowed).await.json().await.unwrap();
    assert_eq!(text(&whole, "scope"), "api:read offline_access openid");
}

#[tokio::test]
async fn a_refresh_token_lives_for_a_day_and_rotation_begins_anew() {
    let idp = Idp::start().await;
    let first = idp.tokens().await;
    idp.pass(86_399);
    let second: Value = idp.refresh(&first).await.json().await.unwrap();
    idp.pass(86_399);
    let third: Value = idp.refresh(&second).await.json().await.unwrap();
    idp.pass(86_400);
    bad_request(idp.refresh(&third).await, "invalid_grant").await;
}

#[tokio::test]
async fn a_refresh_token_may_depend_on_offline_access() {
    let idp = Idp::start_with(|config| config.refresh_tokens = RefreshTokens::OnOfflineAccess).await;
    assert!(idp.tokens().await["refresh_token"].is_string());

    let page = LoginPage::read(idp.authorize(&[("scope", "openid")]).await).await;
    let code = parameter(&idp.sign_in(&page).await, "code").unwrap();
    let tokens: Value = idp
        .redeem(&code, REDIRECT_URI, VERIFIER)
        .await
        .json()
        .await
        .unwrap();
    assert!(tokens["access_token"].is_string());
    assert_eq!(tokens.get("refresh_token"), None);
}

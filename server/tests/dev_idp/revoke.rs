//! Revocation: the whole family by its refresh token, or one access token.

use reqwest::StatusCode;

use crate::{Idp, bad_request, refused, text};

#[tokio::test]
async fn revoking_a_refresh_token_ends_the_family() {
    let idp = Idp::start().await;
    let tokens = idp.tokens().await;
    let response = idp
        .post("/revoke", &[("token", text(&tokens, "refresh_token"))])
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    bad_request(idp.refresh(&tokens).await, "invalid_grant").await;
    assert_eq!(
        idp.userinfo(text(&tokens, "access_token")).await.status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn revoking_an_access_token_leaves_the_refresh_token() {
    let idp = Idp::start().await;
    let tokens = idp.tokens().await;
    let token = text(&tokens, "access_token");
    assert_eq!(idp.userinfo(token).await.status(), StatusCode::OK);
    assert_eq!(
        idp.post("/revoke", &[("token", token)]).await.status(),
        StatusCode::OK
    );
    assert_eq!(idp.userinfo(token).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(idp.refresh(&tokens).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn revocation_needs_the_client_but_no_valid_token() {
    let idp = Idp::start().await;
    assert_eq!(
        idp.post("/revoke", &[("token", "unknown")]).await.status(),
        StatusCode::OK
    );
    bad_request(idp.post("/revoke", &[]).await, "invalid_request").await;
    let bare = idp
        .http
        .post(format!("{}/revoke", idp.issuer))
        .form(&[("token", "x")]);
    refused(
        bare.send().await.unwrap(),
        StatusCode::UNAUTHORIZED,
        "invalid_client",
    )
    .await;
}

//! A code becomes tokens once, for the client that asked for it.

use reqwest::StatusCode;
use serde_json::Value;

use crate::{CLIENT_ID, Idp, REDIRECT_URI, VERIFIER, bad_request, part, text};

#[tokio::test]
async fn an_access_token_says_what_rfc_9068_wants() {
    let idp = Idp::start().await;
    let tokens = idp.tokens().await;
    let token = text(&tokens, "access_token");
    let header = part(token, 0);
    assert_eq!((text(&header, "typ"), text(&header, "alg")), ("at+jwt", "ES256"));

    let claims = part(token, 1);
    assert_eq!(text(&claims, "iss"), idp.issuer);
    assert_eq!(text(&claims, "aud"), "urn:d:unified-gateway");
    assert_eq!(text(&claims, "client_id"), CLIENT_ID);
    assert_eq!(text(&claims, "scope"), "api:read offline_access openid");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        300
    );
    assert!(!text(&claims, "jti").is_empty());
}

#[tokio::test]
async fn the_published_key_is_public() {
    let idp = Idp::start().await;
    let response = idp.http.get(format!("{}/jwks", idp.issuer)).send().await.unwrap();
    let jwks: Value = response.json().await.unwrap();
    assert_eq!(text(&jwks["keys"][0], "use"), "sig");
    assert_eq!(jwks["keys"][0].get("d"), None);
}

#[tokio::test]
async fn a_wrong_verifier_gets_nothing_and_burns_the_code() {
    let idp = Idp::start().await;
    let code = idp.code().await;
    bad_request(
        idp.redeem(&code, REDIRECT_URI, &VERIFIER.replace('d', "e")).await,
        "invalid_grant",
    )
    .await;
    bad_request(idp.redeem(&code, REDIRECT_URI, VERIFIER).await, "invalid_grant").await;
}

#[tokio::test]
async fn a_code_belongs_to_its_redirect_uri() {
    let idp = Idp::start().await;
    let code = idp.code().await;
    bad_request(
        idp.redeem(&code, "http://127.0.0.1:9/callback", VERIFIER).await,
        "invalid_grant",
    )
    .await;
}

#[tokio::test]
async fn a_replayed_code_revokes_what_it_gave() {
    let idp = Idp::start().await;
    let code = idp.code().await;
    let tokens: Value = idp
        .redeem(&code, REDIRECT_URI, VERIFIER)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        idp.userinfo(text(&tokens, "access_token")).await.status(),
        StatusCode::OK
    );

    bad_request(idp.redeem(&code, REDIRECT_URI, VERIFIER).await, "invalid_grant").await;
    assert_eq!(
        idp.userinfo(text(&tokens, "access_token")).await.status(),
        StatusCode::UNAUTHORIZED
    );
    bad_request(idp.refresh(&tokens).await, "invalid_grant").await;
}

#[tokio::test]
async fn a_code_lives_for_a_minute() {
    let idp = Idp::start().await;
    let (early, late) = (idp.code().await, idp.code().await);
    idp.pass(59);
    assert_eq!(
        idp.redeem(&early, REDIRECT_URI, VERIFIER).await.status(),
        StatusCode::OK
    );
    idp.pass(1);
    bad_request(idp.redeem(&late, REDIRECT_URI, VERIFIER).await, "invalid_grant").await;
}

//! A person signs in, or does not.

use std::time::Duration;

use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, RedirectUrl, Scope, TokenResponse,
};
use reqwest::StatusCode;
use reqwest::header::SET_COOKIE;
use serde_json::Value;

use crate::{CLIENT_ID, CLIENT_SECRET, Idp, LoginPage, REDIRECT_URI, parameter};

#[tokio::test]
async fn a_client_library_logs_in_and_verifies_the_id_token() {
    let idp = Idp::start().await;
    let http = |request| send(idp.http.clone(), request);
    let issuer = IssuerUrl::new(idp.issuer.clone()).unwrap();
    let metadata = CoreProviderMetadata::discover_async(issuer, &http).await.unwrap();
    let secret = ClientSecret::new(CLIENT_SECRET.to_owned());
    let client =
        CoreClient::from_provider_metadata(metadata, ClientId::new(CLIENT_ID.to_owned()), Some(secret))
            .set_redirect_uri(RedirectUrl::new(REDIRECT_URI.to_owned()).unwrap());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .add_scope(Scope::new("email".to_owned()))
        .set_pkce_challenge(challenge)
        .url();

    let page = LoginPage::read(idp.http.get(url).send().await.unwrap()).await;
    let back = idp.sign_in(&page).await;
    assert_eq!(parameter(&back, "state").as_ref(), Some(state.secret()));
    assert_eq!(parameter(&back, "iss").as_ref(), Some(&idp.issuer));

    let code = AuthorizationCode::new(parameter(&back, "code").unwrap());
    let request = client.exchange_code(code).unwrap().set_pkce_verifier(verifier);
    let tokens = request.request_async(&http).await.unwrap();
    let claims = tokens
        .id_token()
        .unwrap()
        .claims(&client.id_token_verifier(), &nonce)
        .unwrap();
    assert_eq!(claims.subject().as_str(), "alice");
    assert_eq!(claims.email().unwrap().as_str(), "alice@example.com");
    assert_eq!(claims.preferred_username().unwrap().as_str(), "alice");
    assert!(claims.name().is_some() && claims.auth_time().is_some());
    assert!(tokens.refresh_token().is_some());
    assert_eq!(tokens.expires_in(), Some(Duration::from_secs(300)));

    let userinfo: Value = idp
        .userinfo(tokens.access_token().secret())
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&userinfo["sub"], &userinfo["email"]),
        (&"alice".into(), &"alice@example.com".into())
    );
}

async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let response = http.execute(request.try_into()?).await?;
    let mut built = http::Response::builder().status(response.status());
    *built.headers_mut().unwrap() = response.headers().clone();
    Ok(built.body(response.bytes().await?.to_vec()).unwrap())
}

#[tokio::test]
async fn a_wrong_password_shows_the_form_again_and_the_right_one_still_works() {
    let idp = Idp::start().await;
    let page = idp.login_page().await;
    for (username, password) in [("alice", "wrong"), ("mallory", "demo"), ("", "")] {
        let fields = [
            ("username", username),
            ("password", password),
            ("action", "sign_in"),
        ];
        let response = idp.answer(&page, &page.cookie, &fields).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(response.text().await.unwrap().contains("Try again"));
    }
    assert!(parameter(&idp.sign_in(&page).await, "code").is_some());
}

#[tokio::test]
async fn cancel_is_access_denied() {
    let idp = Idp::start().await;
    let page = idp.login_page().await;
    let back = idp.answer(&page, &page.cookie, &[("action", "cancel")]).await;
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&back, "state").as_deref(), Some("the state"));
    assert_eq!(parameter(&back, "iss").as_ref(), Some(&idp.issuer));
    assert_eq!(idp.sign_in(&page).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_login_is_bound_to_its_browser() {
    let idp = Idp::start().await;
    let (page, other) = (idp.login_page().await, idp.login_page().await);
    let (name, other_value) = (
        page.cookie.split_once('=').unwrap().0,
        other.cookie.split_once('=').unwrap().1,
    );
    let renamed = format!("{name}={other_value}");
    let fields = [("username", "alice"), ("password", "demo"), ("action", "sign_in")];
    for cookie in ["", &other.cookie, &renamed] {
        assert_eq!(
            idp.answer(&page, cookie, &fields).await.status(),
            StatusCode::FORBIDDEN
        );
    }
    assert!(parameter(&idp.sign_in(&page).await, "code").is_some());
}

#[tokio::test]
async fn a_login_is_over_with_its_code_and_after_ten_minutes() {
    let idp = Idp::start().await;
    let (late, done) = (idp.login_page().await, idp.login_page().await);
    let back = idp.sign_in(&done).await;
    assert!(parameter(&back, "code").is_some());
    let cookie = back.headers()[SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.contains("Max-Age=0") && cookie.contains("Path=/idp/login"),
        "{cookie}"
    );
    assert_eq!(idp.sign_in(&done).await.status(), StatusCode::FORBIDDEN);
    idp.pass(600);
    assert_eq!(idp.sign_in(&late).await.status(), StatusCode::FORBIDDEN);
}

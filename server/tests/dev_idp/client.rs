//! The client at the token endpoint: who it is, and how much it may say.

use ciba_server::dev::FORM_MAX_BYTES;
use reqwest::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{RequestBuilder, Response, StatusCode};

use crate::{CLIENT_ID, CLIENT_SECRET, Idp, bad_request, refused};

/// The client's secret as `client_secret_basic` wants it: form-encoded.
const ENCODED_SECRET: &str = "s%3Ae+c%2Br%25e%3Dt";

async fn unauthorized(response: Response) {
    assert!(
        response.headers()[WWW_AUTHENTICATE]
            .to_str()
            .unwrap()
            .starts_with("Basic ")
    );
    refused(response, StatusCode::UNAUTHORIZED, "invalid_client").await;
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

#[tokio::test]
async fn the_client_proves_itself_by_basic_or_by_the_form() {
    let idp = Idp::start().await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    let post = || idp.http.post(format!("{}/token", idp.issuer)).form(&form);
    // Past the client, the made-up token is what is wrong.
    bad_request(
        send(post().basic_auth(CLIENT_ID, Some(ENCODED_SECRET))).await,
        "invalid_grant",
    )
    .await;
    bad_request(idp.post("/token", &form).await, "invalid_grant").await;

    unauthorized(send(post()).await).await;
    unauthorized(send(post().basic_auth(CLIENT_ID, Some("wrong"))).await).await;
    unauthorized(send(post().basic_auth("somebody", Some(ENCODED_SECRET))).await).await;
}

#[tokio::test]
async fn the_client_is_one_and_proves_itself_once() {
    let idp = Idp::start().await;
    let post = |form: &[(&str, &str)]| {
        let request = idp.http.post(format!("{}/token", idp.issuer)).form(form);
        request.basic_auth(CLIENT_ID, Some(ENCODED_SECRET))
    };
    bad_request(
        send(post(&[("client_secret", CLIENT_SECRET)])).await,
        "invalid_request",
    )
    .await;
    unauthorized(send(post(&[("client_id", "somebody")])).await).await;
}

#[tokio::test]
async fn a_form_is_limited_and_names_nothing_twice() {
    let idp = Idp::start().await;
    let post = |body: String| {
        let request = idp.http.post(format!("{}/token", idp.issuer));
        request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
    };
    let padded = |length: usize| format!("x={}", "a".repeat(length - "x=".len()));
    unauthorized(send(post(padded(FORM_MAX_BYTES))).await).await;
    bad_request(send(post(padded(FORM_MAX_BYTES + 1))).await, "invalid_request").await;
    bad_request(send(post("code=a&code=b".to_owned())).await, "invalid_request").await;
}

#[tokio::test]
async fn an_unknown_grant_type_is_named_as_such() {
    let idp = Idp::start().await;
    bad_request(
        idp.post("/token", &[("grant_type", "password")]).await,
        "unsupported_grant_type",
    )
    .await;
    bad_request(idp.post("/token", &[]).await, "invalid_request").await;
}

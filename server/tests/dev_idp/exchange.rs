//! An access token of a login becomes one for somebody else, if that somebody is known.

use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::{Idp, bad_request, part, text};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

impl Idp {
    /// An exchange of `subject` with these further parameters.
    async fn exchange(&self, subject: &str, more: &[(&str, &str)]) -> Response {
        let mut form = vec![
            ("grant_type", GRANT_TYPE),
            ("subject_token", subject),
            ("subject_token_type", ACCESS_TOKEN),
        ];
        form.extend(more);
        self.post("/token", &form).await
    }

    /// An access token of a new login for this audience.
    pub(crate) async fn token_for(&self, audience: &str) -> String {
        let tokens = self.tokens().await;
        let response = self
            .exchange(text(&tokens, "access_token"), &[("audience", audience)])
            .await;
        let exchanged: Value = response.json().await.unwrap();
        text(&exchanged, "access_token").to_owned()
    }
}

#[tokio::test]
async fn d_041_a_token_is_exchanged_for_an_audience_or_a_resource() {
    let idp = Idp::start().await;
    let tokens = idp.tokens().await;
    let application = "urn:sap:identity:application:provider:name:app";
    for (name, target) in [
        ("audience", "demo-api"),
        ("resource", application),
        ("audience", "urn:d:other"),
    ] {
        let response = idp
            .exchange(text(&tokens, "access_token"), &[(name, target)])
            .await;
        assert_eq!(response.status(), StatusCode::OK, "{name}={target}");
        let exchanged: Value = response.json().await.unwrap();
        let claims = part(text(&exchanged, "access_token"), 1);
        assert_eq!((text(&claims, "aud"), text(&claims, "sub")), (target, "alice"));
        assert_eq!(text(&exchanged, "issued_token_type"), ACCESS_TOKEN);
        assert_eq!(exchanged.get("refresh_token"), None);
    }
}

#[tokio::test]
async fn an_unknown_target_is_invalid_target() {
    let idp = Idp::start().await;
    let tokens = idp.tokens().await;
    for target in [
        ("audience", "nobody"),
        ("audience", ""),
        ("resource", "urn:e:x"),
        ("resource", "demo-api"),
        ("resource", "urn:d:x#part"),
    ] {
        bad_request(
            idp.exchange(text(&tokens, "access_token"), &[target]).await,
            "invalid_target",
        )
        .await;
    }
}

#[tokio::test]
async fn an_exchange_wants_one_target_and_knows_no_delegation() {
    let idp = Idp::start().await;
    let tokens = idp.tokens().await;
    let token = text(&tokens, "access_token");
    let audience = ("audience", "demo-api");
    for more in [
        &[][..],
        &[audience, ("resource", "urn:d:x")],
        &[audience, audience],
        &[audience, ("requested_token_type", "urn:x")],
        &[audience, ("actor_token", "x")],
    ] {
        bad_request(idp.exchange(token, more).await, "invalid_request").await;
    }
    let untyped = [("grant_type", GRANT_TYPE), ("subject_token", token), audience];
    bad_request(idp.post("/token", &untyped).await, "invalid_request").await;
}

#[tokio::test]
async fn an_exchange_never_widens_the_scope() {
    let idp = Idp::start().await;
    let tokens = idp.tokens().await;
    let token = text(&tokens, "access_token");
    let wider = [("audience", "demo-api"), ("scope", "api:read api:write")];
    bad_request(idp.exchange(token, &wider).await, "invalid_scope").await;
    let narrower = [("audience", "demo-api"), ("scope", "api:read")];
    let exchanged: Value = idp.exchange(token, &narrower).await.json().await.unwrap();
    assert_eq!(
        text(&part(text(&exchanged, "access_token"), 1), "scope"),
        "api:read"
    );
}

#[tokio::test]
async fn only_a_living_access_token_of_a_login_is_exchanged() {
    let idp = Idp::start().await;
    let tokens = idp.tokens().await;
    let exchanged = idp.token_for("demo-api").await;
    let audience = [("audience", "demo-api")];
    for subject in [
        "x",
        text(&tokens, "id_token"),
        text(&tokens, "refresh_token"),
        &exchanged,
    ] {
        bad_request(idp.exchange(subject, &audience).await, "invalid_request").await;
    }
    idp.pass(300);
    bad_request(
        idp.exchange(text(&tokens, "access_token"), &audience).await,
        "invalid_request",
    )
    .await;
}

//! Authorization requests: what is shown, what is sent back, and what is never redirected.

use reqwest::StatusCode;
use reqwest::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY};

use crate::{Idp, parameter};

#[tokio::test]
async fn an_unknown_client_or_redirect_uri_ends_on_a_page() {
    let idp = Idp::start().await;
    for change in [
        ("client_id", "somebody"),
        ("client_id", ""),
        ("redirect_uri", "http://127.0.0.1:9/callback"),
        ("redirect_uri", "http://127.0.0.1:9/callback?keep=1&more=1"),
        ("redirect_uri", ""),
    ] {
        let response = idp.authorize(&[change]).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{change:?}");
        assert!(response.headers().get(LOCATION).is_none());
    }
}

#[tokio::test]
async fn state_and_nonce_have_at_most_2048_bytes() {
    let idp = Idp::start().await;
    for name in ["state", "nonce"] {
        assert_eq!(
            idp.authorize(&[(name, &"x".repeat(2048))]).await.status(),
            StatusCode::OK
        );
        assert_eq!(
            idp.authorize(&[(name, &"x".repeat(2049))]).await.status(),
            StatusCode::BAD_REQUEST
        );
    }
}

#[tokio::test]
async fn other_errors_travel_to_the_client_with_state_and_iss() {
    let idp = Idp::start().await;
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "invalid_request"),
        ("response_mode", "fragment", "invalid_request"),
        ("scope", "profile", "invalid_scope"),
        ("scope", "", "invalid_scope"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("prompt", "none", "login_required"),
        ("request", "x", "request_not_supported"),
        ("request_uri", "x", "request_uri_not_supported"),
    ] {
        let response = idp.authorize(&[(name, value)]).await;
        assert_eq!(
            parameter(&response, "error").as_deref(),
            Some(error),
            "{name}={value}"
        );
        assert_eq!(parameter(&response, "state").as_deref(), Some("the state"));
        assert_eq!(parameter(&response, "iss").as_ref(), Some(&idp.issuer));
    }
}

#[tokio::test]
async fn pages_let_nothing_in_from_elsewhere() {
    let idp = Idp::start().await;
    for response in [
        idp.authorize(&[]).await,
        idp.authorize(&[("client_id", "")]).await,
    ] {
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        for wanted in [
            "default-src 'none'",
            "style-src 'sha256-",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(wanted), "{policy}");
        }
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[REFERRER_POLICY], "no-referrer");
    }
}

//! How a JSON endpoint says no: an OAuth error answer (RFC 6749 §5.2).
//!
//! Every refusal is made of texts of ours, never of what a client sent.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::json;

/// An error answer.
///
/// Make it in a `const`: a description with a character that RFC 6749 §5.2 does not allow then fails to compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    /// `error`, for the client's program.
    code: &'static str,
    /// `error_description`, for the client's developer.
    description: &'static str,
    /// When the client may try again.
    retry_after: Option<Duration>,
    /// How the client has to authenticate (RFC 9110 §11.6.1).
    challenge: Option<&'static str>,
}

impl Refusal {
    /// The request lacks something, repeats something or cannot be read.
    pub(crate) const fn invalid_request(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// The body has too many bytes.
    pub(crate) const fn too_large(description: &'static str) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", description)
    }

    /// The client did not prove who it is.
    pub(crate) const fn invalid_client() -> Self {
        let refusal = Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "client id or secret is wrong",
        );
        Self {
            challenge: Some(r#"Basic realm="token""#),
            ..refusal
        }
    }

    /// The code or token that the client presents is not good, or is not the client's.
    pub(crate) const fn invalid_grant(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    /// The client asks for a scope that it cannot have.
    pub(crate) const fn invalid_scope(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_scope", description)
    }

    /// The client asks for a token of a resource that it cannot have (RFC 8693 §2.2.2, RFC 8707 §2).
    pub(crate) const fn invalid_target(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_target", description)
    }

    /// The endpoint does not have this grant type.
    pub(crate) const fn unsupported_grant_type() -> Self {
        let description = "the grant type is not supported";
        Self::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", description)
    }

    /// The client asks too often; after `wait` it may ask again.
    pub(crate) const fn too_many(description: &'static str, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", description)
        }
    }

    /// The token that the request carries is not good (RFC 6750 §3.1).
    pub(crate) const fn invalid_token(description: &'static str) -> Self {
        let refusal = Self::new(StatusCode::UNAUTHORIZED, "invalid_token", description);
        Self {
            challenge: Some(r#"Bearer error="invalid_token""#),
            ..refusal
        }
    }

    /// The request needs a token and has none; such an answer has no error code in its challenge (RFC 6750 §3.1).
    pub(crate) const fn token_missing(description: &'static str) -> Self {
        Self {
            challenge: Some("Bearer"),
            ..Self::invalid_token(description)
        }
    }

    /// The token is good, but was not granted `openid` (RFC 6750 §3.1).
    pub(crate) const fn insufficient_scope() -> Self {
        let description = "the access token does not have the scope openid";
        let refusal = Self::new(StatusCode::FORBIDDEN, "insufficient_scope", description);
        Self {
            challenge: Some(r#"Bearer error="insufficient_scope", scope="openid""#),
            ..refusal
        }
    }

    /// What a client registers cannot be (RFC 7591 §3.2.2).
    pub(crate) const fn invalid_client_metadata(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_client_metadata", description)
    }

    /// A redirect URI that a client registers cannot be (RFC 7591 §3.2.2).
    pub(crate) const fn invalid_redirect_uri(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_redirect_uri", description)
    }

    /// The client may not do this at all.
    pub(crate) const fn unauthorized_client(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unauthorized_client", description)
    }

    /// There is no such thing.
    pub(crate) const fn not_found(description: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request", description)
    }

    /// The hint names no person that the server knows (CIBA Core §13).
    pub(crate) const fn unknown_user_id() -> Self {
        let description = "the hint does not name a known user";
        Self::new(StatusCode::BAD_REQUEST, "unknown_user_id", description)
    }

    /// The hint's token has expired (CIBA Core §13).
    pub(crate) const fn expired_login_hint_token() -> Self {
        let description = "the login_hint_token has expired";
        Self::new(StatusCode::BAD_REQUEST, "expired_login_hint_token", description)
    }

    /// The client has to send the user's code (CIBA Core §13).
    pub(crate) const fn missing_user_code() -> Self {
        let description = "user_code is missing";
        Self::new(StatusCode::BAD_REQUEST, "missing_user_code", description)
    }

    /// The user's code is wrong (CIBA Core §13).
    pub(crate) const fn invalid_user_code() -> Self {
        let description = "user_code is wrong";
        Self::new(StatusCode::BAD_REQUEST, "invalid_user_code", description)
    }

    /// The binding message cannot be shown (CIBA Core §13).
    pub(crate) const fn invalid_binding_message(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_binding_message", description)
    }

    /// The client asks for details that it cannot have (RFC 9396 §5).
    pub(crate) const fn invalid_authorization_details(description: &'static str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_authorization_details",
            description,
        )
    }

    /// This is not allowed, to this person or at this moment.
    pub(crate) const fn access_denied(description: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "access_denied", description)
    }

    /// The person said no; the token endpoint's word (CIBA Core §11).
    pub(crate) const fn rejected(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "access_denied", description)
    }

    /// The person has not decided (CIBA Core §11).
    pub(crate) const fn authorization_pending() -> Self {
        let description = "the user has not decided";
        Self::new(StatusCode::BAD_REQUEST, "authorization_pending", description)
    }

    /// The person has not decided, and the client polls too fast (CIBA Core §11).
    pub(crate) const fn slow_down(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "slow_down", description)
    }

    /// The request's time is over (CIBA Core §11).
    pub(crate) const fn expired_token(description: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "expired_token", description)
    }

    /// No person is signed in in this browser, or not lately enough.
    pub(crate) const fn login_required() -> Self {
        let description = "a person has to sign in first";
        Self::new(StatusCode::UNAUTHORIZED, "login_required", description)
    }

    /// An address or a client asks too often for a limit of C-405; after `wait` it may ask again.
    pub(crate) const fn busy(description: &'static str, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                description,
            )
        }
    }

    /// Something of ours failed, and will again.
    pub(crate) const fn server_error(description: &'static str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", description)
    }

    /// Something of ours is away for now, or all of it is about to restart: the client asks again a little later (C-012).
    pub(crate) const fn unavailable(description: &'static str) -> Self {
        let code = "temporarily_unavailable";
        Self {
            retry_after: Some(AWAY_FOR),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, description)
        }
    }

    /// The path is there, and takes other methods (C-005). The router adds `Allow`.
    pub(crate) const fn method_not_allowed() -> Self {
        let description = "the method is not allowed here";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", description)
    }

    /// Returns the words for the client's developer.
    pub(crate) const fn description(&self) -> &'static str {
        self.description
    }

    const fn new(status: StatusCode, code: &'static str, description: &'static str) -> Self {
        assert!(
            is_plain(description),
            "a description has printable ASCII without \" and \\"
        );
        Self {
            status,
            code,
            description,
            retry_after: None,
            challenge: None,
        }
    }
}

/// A restart should be over by then. A client that comes back sooner may find nothing that listens, and give up.
const AWAY_FOR: Duration = Duration::from_secs(4);

/// Whether RFC 6749 §5.2 allows a text as an `error_description`: %x20-21, %x23-5B, %x5D-7E.
const fn is_plain(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if !matches!(first, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e) {
            return false;
        }
        rest = after;
    }
    true
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.code, "error_description": self.description }));
        let mut response = (self.status, [(CACHE_CONTROL, "no-store")], body).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            // Whole seconds: one more than counted, so that the client does not come back too early.
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Refusal = Refusal::too_many("too many", Duration::from_millis(1_500));
    const AWAY: Refusal = Refusal::unavailable("the store is away");
    const LARGE: Refusal = Refusal::too_large("the body is too large");

    async fn body(response: Response) -> serde_json::Value {
        let bytes = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn a_refusal_is_json_that_nobody_keeps() {
        for (refusal, status, code) in [
            (Refusal::server_error("it failed"), 500, "server_error"),
            (Refusal::method_not_allowed(), 405, "invalid_request"),
            (LARGE, 413, "invalid_request"),
            (Refusal::unsupported_grant_type(), 400, "unsupported_grant_type"),
        ] {
            let response = refusal.into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            for absent in [RETRY_AFTER, WWW_AUTHENTICATE] {
                assert!(!response.headers().contains_key(&absent), "{code}: {absent}");
            }
            let body = body(response).await;
            assert_eq!(
                (&body["error"], &body["error_description"]),
                (&json!(code), &json!(refusal.description))
            );
        }
    }

    #[test]
    fn a_refusal_says_when_to_come_back_and_how_to_authenticate() {
        let slow = SLOW.into_response();
        assert_eq!(
            (slow.status().as_u16(), &slow.headers()[RETRY_AFTER]),
            (429, &HeaderValue::from(2))
        );
        let away = AWAY.into_response();
        assert_eq!(
            (away.status().as_u16(), &away.headers()[RETRY_AFTER]),
            (503, &HeaderValue::from(5)),
            "C-012: clients wait out a 503 that says for how long"
        );
        let unknown = Refusal::invalid_client().into_response();
        assert_eq!(unknown.status().as_u16(), 401);
        assert_eq!(unknown.headers()[WWW_AUTHENTICATE], r#"Basic realm="token""#);
    }

    #[test]
    fn a_description_has_the_characters_of_rfc_6749_alone() {
        assert!(is_plain(" !#azAZ09[]~") && is_plain(""));
        for text in ["\"", "\\", "\n", "\u{7f}", "é", "a\0"] {
            assert!(!is_plain(text), "{text:?}");
        }
    }
}

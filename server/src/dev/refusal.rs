//! How the token and revocation endpoints say no (RFC 6749 §5.2, RFC 8693 §2.2.2).

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

/// An error answer, by its code on the wire; the text is for the developer of the client.
#[derive(Debug)]
pub(super) enum Refusal {
    InvalidRequest(&'static str),
    InvalidClient,
    InvalidGrant(&'static str),
    InvalidScope,
    InvalidTarget,
    UnsupportedGrantType,
    /// Randomness or signing failed.
    ServerError,
}

impl Refusal {
    fn code_and_text(&self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidRequest(text) => ("invalid_request", text),
            Self::InvalidClient => ("invalid_client", "client id or secret is wrong"),
            Self::InvalidGrant(text) => ("invalid_grant", text),
            Self::InvalidScope => ("invalid_scope", "the scope exceeds what was granted"),
            Self::InvalidTarget => ("invalid_target", "the audience or resource is unknown"),
            Self::UnsupportedGrantType => ("unsupported_grant_type", "the grant type is not supported"),
            Self::ServerError => ("server_error", "the provider could not finish the request"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (error, text) = self.code_and_text();
        let body = Json(json!({ "error": error, "error_description": text }));
        match self {
            Self::InvalidClient => {
                let challenge = [(header::WWW_AUTHENTICATE, r#"Basic realm="token""#)];
                (StatusCode::UNAUTHORIZED, challenge, body).into_response()
            }
            Self::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, body).into_response(),
            _ => (StatusCode::BAD_REQUEST, body).into_response(),
        }
    }
}

impl From<getrandom::Error> for Refusal {
    fn from(_: getrandom::Error) -> Self {
        Self::ServerError
    }
}

impl From<jsonwebtoken::errors::Error> for Refusal {
    fn from(_: jsonwebtoken::errors::Error) -> Self {
        Self::ServerError
    }
}

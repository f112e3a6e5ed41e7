//! Bearer tokens at a protected resource: taken from the header, refused with a challenge (RFC 6750).

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

/// Returns the token of the `Authorization` header.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Why a protected resource stays shut.
#[derive(Clone, Copy)]
pub(super) enum Denied {
    /// No token was sent; the challenge then carries no error code (RFC 6750 §3.1).
    NoToken,
    /// The token is malformed, expired, revoked, or meant for another API.
    InvalidToken,
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let challenge = match self {
            Self::NoToken => "Bearer",
            Self::InvalidToken => {
                r#"Bearer error="invalid_token", error_description="the token is not valid here""#
            }
        };
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
    }
}

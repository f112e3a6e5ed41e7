//! What the fuzz targets call: the readers of bytes that clients send, before anything is known about their sender.

use axum::body::Bytes;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use jsonwebtoken::{Algorithm, EncodingKey};

pub use crate::ciba::fuzz::signed_request;
use crate::oauth::jwt::Jws;
use crate::oauth::parameters::Parameters;

/// The most that an endpoint reads of a body.
const MAX_TOKEN: usize = 64 * 1024;

const SECRET: &[u8] = b"a secret that nothing in the corpus knows";

/// The body of an OAuth endpoint, as a form and as JSON: no parameter is there twice or empty, but for `resource`.
pub fn form(body: &[u8]) {
    for media_type in ["application/x-www-form-urlencoded", "application/json"] {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        let Ok(parameters) = Parameters::of_form_or_json(&headers, Ok(Bytes::copy_from_slice(body))) else {
            continue;
        };
        for name in parameters.names() {
            let values: Vec<_> = parameters.all(name).collect();
            assert!(name == "resource" || values.len() == 1);
            assert!(values.iter().all(|value| !value.is_empty()));
        }
    }
}

/// A JWT of another's: whatever it says, our secret did not authenticate it. One with the same text in front of its claims
/// that our secret did authenticate says what was written.
pub fn jws(data: &[u8]) {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(token) = Jws::read(text, MAX_TOKEN)
    {
        let _ = (token.alg(), token.kid(), token.typ());
        if let Some(claims) = token.unverified_claims() {
            let _ = (claims.times(), claims.text("iss"), claims.is_for(&["https://us"]));
        }
        assert!(token.claims_authenticated_with(SECRET).is_none());
    }
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (Some(header), Some(claims)) = (parts.next(), parts.next()) else {
        return;
    };
    let compact = authenticated(header, claims);
    if let Some(token) = Jws::read(&compact, MAX_TOKEN).filter(|token| token.algorithm() == Algorithm::HS256)
    {
        let read = token
            .claims_authenticated_with(SECRET)
            .map(crate::oauth::jwt::Claims::into_inner);
        assert!(
            read == token
                .unverified_claims()
                .map(crate::oauth::jwt::Claims::into_inner)
        );
    }
}

/// Returns a JWT with this header and these claims, whatever they are, and an HMAC of both.
fn authenticated(header: &[u8], claims: &[u8]) -> String {
    let [header, claims] = [header, claims].map(Base64UrlUnpadded::encode_string);
    let message = format!("{header}.{claims}");
    let key = EncodingKey::from_secret(SECRET);
    let mac = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256);
    format!("{message}.{}", mac.expect("HMAC takes every message"))
}

//! The two kinds of JWT here, access tokens (RFC 9068) and id_tokens, and how a resource server checks the first.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};

/// `typ` of an access token (RFC 9068 §2.1). No id_token has it, so none is mistaken for an access token.
pub(super) const ACCESS_TOKEN_TYP: &str = "at+jwt";

/// `typ` of an id_token.
pub(super) const ID_TOKEN_TYP: &str = "JWT";

/// Claims of an access token.
#[derive(Serialize, Deserialize)]
pub(super) struct AccessClaims {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) aud: String,
    pub(super) client_id: String,
    pub(super) iat: u64,
    pub(super) exp: u64,
    pub(super) jti: String,
    pub(super) scope: String,
}

/// Claims of an id_token (OpenID Connect Core §2).
#[derive(Serialize)]
pub(super) struct IdClaims<'a> {
    pub(super) iss: &'a str,
    pub(super) sub: &'a str,
    pub(super) aud: &'a str,
    pub(super) exp: u64,
    pub(super) iat: u64,
    pub(super) auth_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nonce: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) email: &'a str,
    pub(super) preferred_username: &'a str,
}

/// Why an access token is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rejected {
    /// The key that signed it is not in the set; a newer set may have it.
    UnknownKey,
    /// Malformed, forged, expired, or of another issuer.
    Invalid,
}

/// Checks type, signature, issuer and expiry of an access token (RFC 9068 §4). Whether it is meant for the
/// caller, its `aud`, is for the caller to decide.
pub(super) fn verify(token: &str, keys: &JwkSet, issuer: &str, now: u64) -> Result<AccessClaims, Rejected> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| Rejected::Invalid)?;
    if header.typ.as_deref() != Some(ACCESS_TOKEN_TYP) {
        return Err(Rejected::Invalid);
    }
    let kid = header.kid.ok_or(Rejected::Invalid)?;
    let key = keys.find(&kid).ok_or(Rejected::UnknownKey)?;
    let claims = signed_claims(token, key, issuer).map_err(|_| Rejected::Invalid)?;
    (claims.exp > now).then_some(claims).ok_or(Rejected::Invalid)
}

fn signed_claims(
    token: &str,
    key: &jsonwebtoken::jwk::Jwk,
    issuer: &str,
) -> jsonwebtoken::errors::Result<AccessClaims> {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_exp = false; // by our clock, not the machine's
    validation.validate_aud = false;
    jsonwebtoken::decode(token, &DecodingKey::from_jwk(key)?, &validation).map(|data| data.claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::keys::Keys;

    fn claims() -> AccessClaims {
        AccessClaims {
            iss: "issuer".to_owned(),
            sub: "alice".to_owned(),
            aud: "api".to_owned(),
            client_id: "client".to_owned(),
            iat: 0,
            exp: 10,
            jti: "1".to_owned(),
            scope: "openid".to_owned(),
        }
    }

    #[test]
    fn a_token_is_taken_for_what_its_type_and_issuer_say() {
        let keys = Keys::generate().expect("a key");
        let token = |typ| keys.sign(typ, &claims()).expect("a token");
        let rejection = |typ, issuer, now| verify(&token(typ), &keys.public, issuer, now).err();
        assert_eq!(rejection(ACCESS_TOKEN_TYP, "issuer", 9), None);
        assert_eq!(rejection(ACCESS_TOKEN_TYP, "issuer", 10), Some(Rejected::Invalid));
        assert_eq!(rejection(ACCESS_TOKEN_TYP, "another", 9), Some(Rejected::Invalid));
        assert_eq!(rejection(ID_TOKEN_TYP, "issuer", 9), Some(Rejected::Invalid));
    }

    #[test]
    fn a_key_that_is_not_in_the_set_is_unknown() {
        let (keys, others) = (Keys::generate().expect("a key"), Keys::generate().expect("a key"));
        let token = keys.sign(ACCESS_TOKEN_TYP, &claims()).expect("a token");
        assert_eq!(
            verify(&token, &others.public, "issuer", 9).err(),
            Some(Rejected::UnknownKey)
        );
    }
}

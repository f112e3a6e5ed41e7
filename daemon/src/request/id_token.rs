//! The check of an ID token (OpenID Connect Core §3.1.3.7): signed by a key that the provider publishes, issued by it, for
//! this client, and not past.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::keychain::ClientName;

/// Seconds that two clocks may differ.
const LEEWAY: u64 = 30;

/// What a provider may sign with. Nothing that the client could sign with as well.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Why an ID token is not believed. The texts quote nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum IdTokenError {
    #[error("it cannot be read")]
    Unreadable,
    #[error("it is not signed as a provider signs")]
    Algorithm,
    #[error("the provider publishes no key that has signed it")]
    UnknownKey,
    #[error("its signature, issuer, audience or time is wrong")]
    Wrong,
    #[error("it is for several clients, and was not issued to this one")]
    OtherParty,
}

/// The keys that a provider publishes; those of unknown kinds are left out.
#[derive(Default)]
pub(super) struct Keys(Vec<Jwk>);

impl Keys {
    /// Reads a JWK set (RFC 7517 §5).
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(body).ok()?;
        let known = set.keys.into_iter().flat_map(serde_json::from_value);
        Some(Self(known.collect()))
    }

    /// Checks an ID token.
    pub(super) fn check(&self, token: &str, client: &ClientName) -> Result<(), IdTokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| IdTokenError::Unreadable)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(IdTokenError::Algorithm);
        }
        let fits = |key: &&Jwk| header.kid.is_none() || key.common.key_id == header.kid;
        let mut verdict = Err(IdTokenError::UnknownKey);
        for key in self.0.iter().filter(fits) {
            verdict = verify(token, key, header.alg, client);
            if verdict.is_ok() {
                break;
            }
        }
        only_for(&verdict?, client)
    }
}

#[derive(Deserialize)]
struct Claims {
    /// A text, or a list of them.
    aud: Value,
    azp: Option<String>,
}

fn verify(token: &str, key: &Jwk, algorithm: Algorithm, client: &ClientName) -> Result<Claims, IdTokenError> {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    validation.set_issuer(&[client.issuer.as_str()]);
    validation.set_audience(&[&client.client_id]);
    let key = DecodingKey::from_jwk(key).map_err(|_| IdTokenError::UnknownKey)?;
    let checked = jsonwebtoken::decode(token, &key, &validation);
    checked.map(|data| data.claims).map_err(|_| IdTokenError::Wrong)
}

/// Several audiences need the party that it was issued to; a party that is named has to be this one.
fn only_for(claims: &Claims, client: &ClientName) -> Result<(), IdTokenError> {
    let is_for_many = claims.aud.as_array().is_some_and(|names| names.len() > 1);
    match &claims.azp {
        Some(party) if *party != client.client_id => Err(IdTokenError::OtherParty),
        None if is_for_many => Err(IdTokenError::OtherParty),
        _ => Ok(()),
    }
}

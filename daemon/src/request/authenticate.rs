//! How the client proves to the provider which one it is (OpenID Connect Core §9, RFC 7523).

use std::time::{Duration, SystemTime};

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ipc_proto::ClientMethod;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::RequestBuilder;
use serde::Serialize;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::error::RequestError;
use crate::keychain::Client;

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion is valid.
const LIFE: Duration = Duration::from_secs(60);

/// Bytes of an assertion's identifier.
const JTI: usize = 16;

/// A client that is ready to prove itself, as often as it is needed.
pub(super) struct Prover<'a> {
    client: &'a Client,
    key: Option<Key>,
}

struct Key {
    key: EncodingKey,
    algorithm: Algorithm,
}

/// A field of a form: name and value.
pub(super) type Field<'a> = (&'static str, &'a str);

impl<'a> Prover<'a> {
    /// Reads the client's key, if it proves itself with one. `algorithms` are those that the provider names.
    pub(super) fn new(client: &'a Client, algorithms: &[String]) -> Result<Self, RequestError> {
        let key = match client.method {
            ClientMethod::PrivateKeyJwt => Some(Key::read(client.secret(), algorithms)?),
            ClientMethod::ClientSecretBasic | ClientMethod::ClientSecretPost => None,
        };
        Ok(Self { client, key })
    }

    /// Adds the form to a POST, and the proof to the one or the other.
    pub(super) fn prove(
        &self,
        post: RequestBuilder,
        fields: &[Field<'_>],
    ) -> Result<RequestBuilder, RequestError> {
        let name = &self.client.name;
        let (client_id, secret) = (name.client_id.as_str(), self.client.secret());
        if let Some(key) = &self.key {
            let assertion = key.assertion(client_id, name.issuer.as_str())?;
            let proof = [
                ("client_id", client_id),
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &assertion),
            ];
            return Ok(post.form(&[fields, &proof].concat()));
        }
        if self.client.method == ClientMethod::ClientSecretPost {
            let proof = [("client_id", client_id), ("client_secret", secret)];
            return Ok(post.form(&[fields, &proof].concat()));
        }
        Ok(post
            .basic_auth(encoded(client_id), Some(encoded(secret)))
            .form(fields))
    }
}

/// RFC 6749 §2.3.1 wants both parts form-urlencoded.
fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

impl Key {
    /// Reads a private key from PEM: P-256 signs with ES256, RSA with PS256 where the provider names it, else with RS256.
    fn read(pem: &str, algorithms: &[String]) -> Result<Self, RequestError> {
        let has = |algorithm: &str| algorithms.iter().any(|named| named == algorithm);
        let rsa = if has("PS256") {
            Algorithm::PS256
        } else {
            Algorithm::RS256
        };
        let pem = pem.as_bytes();
        let key = match (EncodingKey::from_ec_pem(pem), EncodingKey::from_rsa_pem(pem)) {
            (Ok(key), _) => Self {
                key,
                algorithm: Algorithm::ES256,
            },
            (_, Ok(key)) => Self { key, algorithm: rsa },
            _ => {
                return Err(RequestError::Key(
                    "the key file holds no private key of RSA or P-256 as PEM",
                ));
            }
        };
        // A key of another curve shows only when it signs.
        key.assertion("", "")?;
        Ok(key)
    }

    fn assertion(&self, client_id: &str, issuer: &str) -> Result<Zeroizing<String>, RequestError> {
        let mut jti = [0; JTI];
        getrandom::fill(&mut jti).map_err(|_| RequestError::NoRandom)?;
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        let claims = Claims {
            iss: client_id,
            sub: client_id,
            aud: issuer,
            jti: Base64UrlUnpadded::encode_string(&jti),
            iat: now,
            exp: now + LIFE.as_secs(),
        };
        let signed = jsonwebtoken::encode(&Header::new(self.algorithm), &claims, &self.key);
        let unusable =
            RequestError::Key("the private key cannot sign: its curve is not P-256, or it is too short");
        signed.map(Zeroizing::new).map_err(|_| unusable)
    }
}

/// RFC 7523 §3.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: u64,
    exp: u64,
}

/// Checks that a client can prove itself with what was given, before that is kept.
pub(super) fn check(client: &Client) -> Result<(), RequestError> {
    Prover::new(client, &[]).map(drop)
}

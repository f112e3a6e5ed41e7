//! A stranger who signs JWTs, for tests: any header, any claims, real keys.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::oauth::alg::Alg;
use crate::oauth::keys::strangers_key;

/// A key pair and the header of what it signs.
#[derive(Clone)]
pub(crate) struct Signer {
    private: EncodingKey,
    public: Value,
    pub(crate) header: Header,
}

impl Signer {
    pub(crate) fn new(alg: Alg, kid: &str) -> Self {
        let (private, mut public) = strangers_key(alg);
        public["kid"] = json!(kid);
        let mut header = Header::new(alg.algorithm());
        header.kid = Some(kid.to_owned());
        Self {
            private,
            public,
            header,
        }
    }

    /// A signer with an HMAC key.
    pub(crate) fn hmac(secret: &[u8]) -> Self {
        Self {
            private: EncodingKey::from_secret(secret),
            public: Value::Null,
            header: Header::new(Algorithm::HS256),
        }
    }

    /// The public key as a JWK.
    pub(crate) fn public(&self) -> Value {
        self.public.clone()
    }

    /// The set of this one key.
    pub(crate) fn set(&self) -> Value {
        json!({ "keys": [self.public] })
    }

    pub(crate) fn without_kid(&self) -> Self {
        let mut signer = self.clone();
        signer.header.kid = None;
        signer
    }

    pub(crate) fn with_header(&self, change: impl FnOnce(&mut Header)) -> Self {
        let mut signer = self.clone();
        change(&mut signer.header);
        signer
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&self.header, claims, &self.private).unwrap()
    }
}

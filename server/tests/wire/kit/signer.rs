//! A client, or any other party, that signs JWTs with a key of its own.

use std::time::SystemTime;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::SecretKey;
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{EncodePrivateKey as _, LineEnding, SecretDocument};
use serde_json::{Value, json};

/// `client_assertion_type`
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A key pair, and the header of what it signs.
#[derive(Clone)]
pub(crate) struct Signer {
    private: EncodingKey,
    public: Option<Jwk>,
    header: Header,
}

/// Returns the time, Unix seconds.
pub(crate) fn seconds() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

impl Signer {
    /// Draws a key for ES256, PS256 or RS256.
    pub(crate) fn new(alg: Algorithm) -> Self {
        // The second test in this process finds it chosen already.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let private = match alg {
            Algorithm::ES256 => {
                let pkcs8 = SecretKey::try_generate().unwrap().to_pkcs8_der().unwrap();
                EncodingKey::from_ec_der(pkcs8.as_bytes())
            }
            _ => {
                let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
                let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                let document = SecretDocument::try_from(pkcs8.as_ref()).unwrap();
                let pem = document.to_pem("PRIVATE KEY", LineEnding::LF).unwrap();
                EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
            }
        };
        let mut public = Jwk::from_encoding_key(&private, alg).unwrap();
        public.common.key_id = Some("1".to_owned());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        // An RSA key is good for both of its algorithms.
        public.common.key_algorithm = None;
        let mut header = Header::new(alg);
        header.kid = Some("1".to_owned());
        Self {
            private,
            public: Some(public),
            header,
        }
    }

    /// A signer with a secret (HS256).
    pub(crate) fn hmac(secret: &[u8]) -> Self {
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        Self {
            private: EncodingKey::from_secret(secret),
            public: None,
            header: Header::new(Algorithm::HS256),
        }
    }

    pub(crate) fn with_header(&self, change: impl FnOnce(&mut Header)) -> Self {
        let mut signer = self.clone();
        change(&mut signer.header);
        signer
    }

    /// The set of this one public key.
    pub(crate) fn set(&self) -> Value {
        json!({ "keys": [self.public] })
    }

    /// The set as a TOML value.
    pub(crate) fn toml(&self) -> String {
        let public = serde_json::to_value(&self.public).unwrap();
        let members = public.as_object().unwrap().iter();
        let members: Vec<_> = members.map(|(name, value)| format!("{name} = {value}")).collect();
        format!("{{ keys = [{{ {} }}] }}", members.join(", "))
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&self.header, claims, &self.private).unwrap()
    }
}

/// Returns a JWT whose header says that nothing signs it.
pub(crate) fn unsigned(claims: &Value) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    let encoded = |part: &Value| Base64UrlUnpadded::encode_string(part.to_string().as_bytes());
    format!("{}.{}.", encoded(&json!({ "alg": "none" })), encoded(claims))
}

/// Returns an assertion's claims, as they should be (RFC 7523 §3), with these in place of the usual.
pub(crate) fn assertion(client: &str, audience: &str, with: &[(&str, Value)]) -> Value {
    let now = seconds();
    changed(
        json!({
            "iss": client, "sub": client, "aud": audience, "jti": unique(), "exp": now + 60, "iat": now,
        }),
        with,
    )
}

/// Returns claims with these in place of their own; a `null` removes one.
pub(crate) fn changed(mut claims: Value, with: &[(&str, Value)]) -> Value {
    for (name, value) in with {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(*name);
        } else {
            claims[*name] = value.clone();
        }
    }
    claims
}

/// Returns a `jti` that no other token has.
pub(crate) fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("jti-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

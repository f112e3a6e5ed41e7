//! The provider's signing key: one P-256 key, born and gone with the process (ES256, RFC 7518 §3.4).

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::SecretKey;
use p256::elliptic_curve::Generate;
use p256::pkcs8::EncodePrivateKey;
use serde::Serialize;

use super::Error;

/// The key and what the world may see of it.
pub(super) struct Keys {
    signing: EncodingKey,
    kid: String,
    /// The key set of the JWKS endpoint.
    pub(super) public: JwkSet,
}

impl Keys {
    pub(super) fn generate() -> Result<Self, Error> {
        // An error says that a backend was chosen already, which is as good.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let secret = SecretKey::try_generate().map_err(|_| Error::Key)?;
        let pkcs8 = secret.to_pkcs8_der().map_err(|_| Error::Key)?;
        let signing = EncodingKey::from_ec_der(pkcs8.as_bytes());
        let (public, kid) = public_half(&signing).map_err(|_| Error::Key)?;
        Ok(Self {
            signing,
            kid,
            public: JwkSet { keys: vec![public] },
        })
    }

    /// Signs claims as a JWT of this type (`typ`).
    pub(super) fn sign(&self, typ: &str, claims: &impl Serialize) -> jsonwebtoken::errors::Result<String> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.signing)
    }
}

/// The public key, with its thumbprint (RFC 7638) as `kid`.
fn public_half(signing: &EncodingKey) -> jsonwebtoken::errors::Result<(Jwk, String)> {
    let mut public = Jwk::from_encoding_key(signing, Algorithm::ES256)?;
    let kid = public.thumbprint(ThumbprintHash::SHA256)?;
    public.common.key_id = Some(kid.clone());
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok((public, kid))
}

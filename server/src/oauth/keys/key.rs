//! One signing key: drawn, kept as PKCS #8 text, read again, used.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{EncodingKey, Header};
use p256::pkcs8::{LineEnding, SecretDocument};
use serde::Serialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::oauth::alg::Alg;

/// A private key and its public half. The library's key is wiped when it is dropped.
pub(super) struct SigningKey {
    pub(super) alg: Alg,
    /// The thumbprint (RFC 7638) of the public half.
    pub(super) kid: String,
    /// With `kid`, `use` and `alg`, as the key set has it (C-030).
    pub(super) public: Jwk,
    private: EncodingKey,
}

/// What is wrong with a key. No text quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum KeyError {
    /// The system's generator gave none.
    #[error("no key could be drawn")]
    Draw,
    /// It is not PKCS #8 text of a key for its algorithm.
    #[error("it is not a private key for its algorithm")]
    Malformed,
    /// It did not sign.
    #[error("no signature could be made")]
    Sign,
}

impl SigningKey {
    /// Reads a key from PKCS #8 text (RFC 5958, RFC 7468).
    pub(super) fn read(alg: Alg, pem: &str) -> Result<Self, KeyError> {
        let read = match alg {
            Alg::RS256 | Alg::PS256 => EncodingKey::from_rsa_pem,
            Alg::ES256 => EncodingKey::from_ec_pem,
            Alg::EdDsa => EncodingKey::from_ed_pem,
        };
        let private = read(pem.as_bytes()).map_err(|_| KeyError::Malformed)?;
        let (kid, public) = public_half(alg, &private).map_err(|_| KeyError::Malformed)?;
        Ok(Self {
            alg,
            kid,
            public,
            private,
        })
    }

    /// Signs claims as a JWT of this type (`typ`).
    pub(super) fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        let mut header = Header::new(self.alg.algorithm());
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.private).map_err(|_| KeyError::Sign)
    }

    #[cfg(test)]
    pub(super) fn into_private(self) -> EncodingKey {
        self.private
    }
}

/// Draws a key and returns it as PKCS #8 text. An RSA key takes some 100 ms.
pub(super) fn draw(alg: Alg) -> Result<Zeroizing<String>, KeyError> {
    let der = draw_der(alg).map_err(|_| KeyError::Draw)?;
    let document = SecretDocument::try_from(der.as_slice()).map_err(|_| KeyError::Draw)?;
    document
        .to_pem("PRIVATE KEY", LineEnding::LF)
        .map_err(|_| KeyError::Draw)
}

fn draw_der(alg: Alg) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let copied = |der: &[u8]| Zeroizing::new(der.to_vec());
    Ok(match alg {
        Alg::RS256 | Alg::PS256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
            let der: Pkcs8V1Der<'_> = pair.as_der()?;
            copied(der.as_ref())
        }
        Alg::ES256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
            copied(pair.to_pkcs8v1()?.as_ref())
        }
        Alg::EdDsa => copied(Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref()),
    })
}

/// Returns the thumbprint and the public key with it as `kid`. A key's algorithm is not part of its thumbprint, so no key
/// may serve two.
fn public_half(alg: Alg, private: &EncodingKey) -> jsonwebtoken::errors::Result<(String, Jwk)> {
    let mut public = Jwk::from_encoding_key(private, alg.algorithm())?;
    let kid = public.thumbprint(ThumbprintHash::SHA256)?;
    public.common.key_id = Some(kid.clone());
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok((kid, public))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_for_its_own_kind_of_algorithm_alone() {
        let pem = draw(Alg::ES256).unwrap();
        assert!(SigningKey::read(Alg::ES256, &pem).is_ok());
        for alg in [Alg::RS256, Alg::PS256, Alg::EdDsa] {
            let read = SigningKey::read(alg, &pem).map(drop);
            assert_eq!(read, Err(KeyError::Malformed), "{alg}");
        }
        let read = SigningKey::read(Alg::ES256, "-----BEGIN PRIVATE KEY-----\n").map(drop);
        assert_eq!(read, Err(KeyError::Malformed));
    }
}

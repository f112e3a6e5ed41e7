//! A signed JWT in compact form (RFC 7515 §7.1): its header is read first, its claims only after its signature was found good.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};

use super::Claims;
use crate::oauth::alg::Alg;

/// A JWT whose signature nothing has checked yet. Its claims may be secret: there is no `Debug`.
pub(crate) struct Jws<'a> {
    compact: &'a str,
    header: Header,
}

impl<'a> Jws<'a> {
    /// Reads the header of a token of at most `max` bytes.
    ///
    /// `None`: too long, not three parts, an algorithm that is `none` or unknown, encrypted, compressed, or with extensions
    /// that the signer calls critical (RFC 7515 §4.1.11): there is none that we understand.
    pub(crate) fn read(compact: &'a str, max: usize) -> Option<Self> {
        if compact.len() > max {
            return None;
        }
        let header = jsonwebtoken::decode_header(compact).ok()?;
        let is_plain = header.crit.is_none() && header.enc.is_none() && header.zip.is_none();
        is_plain.then_some(Self { compact, header })
    }

    /// The header's `alg`.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.header.alg
    }

    /// The header's `alg`, when it is one of ours: asymmetric.
    pub(crate) fn alg(&self) -> Option<Alg> {
        Alg::of(self.header.alg)
    }

    /// The header's `kid`.
    pub(crate) fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The header's `typ`.
    pub(crate) fn typ(&self) -> Option<&str> {
        self.header.typ.as_deref()
    }

    /// Returns claims that anyone may have written: good for finding out whose keys to try, and for nothing else.
    pub(crate) fn unverified_claims(&self) -> Option<Claims> {
        jsonwebtoken::dangerous::insecure_decode_claims(self.compact).ok()
    }

    /// Returns the claims if this key signed them, and is a key for the token's algorithm.
    pub(crate) fn claims_signed_with(&self, key: &Jwk) -> Option<Claims> {
        let alg = self.alg().filter(|alg| fits(key, *alg))?;
        self.claims(&DecodingKey::from_jwk(key).ok()?, alg.algorithm())
    }

    /// Returns the claims if this secret authenticates them, and the header says so (`HS256`). The secret is never a public
    /// key: those have a type of their own (C-188).
    pub(crate) fn claims_authenticated_with(&self, secret: &[u8]) -> Option<Claims> {
        self.claims(&DecodingKey::from_secret(secret), Algorithm::HS256)
    }

    /// The library compares the algorithm with the header and the key. What the claims say is up to the caller.
    fn claims(&self, key: &DecodingKey, algorithm: Algorithm) -> Option<Claims> {
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false; // by our clock, not the library's
        validation.validate_aud = false;
        let decoded = jsonwebtoken::decode(self.compact, key, &validation);
        decoded.ok().map(|token| token.claims)
    }
}

/// Whether a key is there to verify this algorithm's signatures: its type, and what it says itself (RFC 7517 §4).
pub(super) fn fits(key: &Jwk, alg: Alg) -> bool {
    let has_type = match (&key.algorithm, alg) {
        (AlgorithmParameters::RSA(_), Alg::RS256 | Alg::PS256) => true,
        (AlgorithmParameters::EllipticCurve(key), Alg::ES256) => key.curve == EllipticCurve::P256,
        (AlgorithmParameters::OctetKeyPair(key), Alg::EdDsa) => key.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    let common = &key.common;
    let wanted = alg.algorithm().into();
    let operations = common.key_operations.as_ref();
    has_type
        && common.key_algorithm.is_none_or(|own| own == wanted)
        && common
            .public_key_use
            .as_ref()
            .is_none_or(|own| *own == PublicKeyUse::Signature)
        && operations.is_none_or(|own| own.contains(&KeyOperations::Verify))
}

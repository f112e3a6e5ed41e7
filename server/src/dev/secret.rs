//! Random bearer values (codes, refresh tokens, login cookies) and the fingerprint that is kept in their stead.

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::random;

/// Returns 256 random bits in base64url.
pub(super) fn random() -> Zeroizing<String> {
    let bytes = Zeroizing::new(random::random::<32>());
    Zeroizing::new(Base64UrlUnpadded::encode_string(&bytes[..]))
}

/// Whether two strings are equal; takes no longer for a better guess.
pub(super) fn equal(expected: &str, given: &str) -> bool {
    Fingerprint::of(expected).matches(given)
}

/// SHA-256 of a secret. As a map key it needs no constant time: a caller cannot choose the hash of a guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    pub(super) fn matches(&self, secret: &str) -> bool {
        self.0.ct_eq(&Self::of(secret).0).into()
    }
}

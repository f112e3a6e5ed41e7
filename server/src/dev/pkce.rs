//! Proof Key for Code Exchange, the provider's half (RFC 7636, `S256` only).

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Length of a base64url SHA-256, in bytes.
const CHALLENGE_BYTES: usize = 43;

/// Permitted lengths of a verifier, in bytes (RFC 7636 §4.1).
const VERIFIER_BYTES: std::ops::RangeInclusive<usize> = 43..=128;

/// A well-formed `code_challenge`.
pub(super) struct Challenge(String);

impl Challenge {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (text.len() == CHALLENGE_BYTES && text.bytes().all(base64url)).then(|| Self(text.to_owned()))
    }

    pub(super) fn is_met_by(&self, verifier: &str) -> bool {
        let derived = Base64UrlUnpadded::encode_string(&Sha256::digest(verifier.as_bytes()));
        VERIFIER_BYTES.contains(&verifier.len()) && self.0.as_bytes().ct_eq(derived.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(verifier: &str) -> Challenge {
        let digest = Base64UrlUnpadded::encode_string(&Sha256::digest(verifier.as_bytes()));
        Challenge::parse(&digest).expect("a digest is a challenge")
    }

    #[test]
    fn the_example_of_rfc_7636_appendix_b_holds() {
        let challenge = Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").expect("well formed");
        assert!(challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert!(!challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK"));
    }

    #[test]
    fn a_verifier_has_43_to_128_bytes() {
        for (length, accepted) in [(42, false), (43, true), (128, true), (129, false)] {
            let verifier = "a".repeat(length);
            assert_eq!(challenge(&verifier).is_met_by(&verifier), accepted, "{length}");
        }
    }

    #[test]
    fn a_challenge_is_43_base64url_characters() {
        assert!(Challenge::parse(&"a".repeat(42)).is_none());
        assert!(Challenge::parse(&"a".repeat(44)).is_none());
        assert!(Challenge::parse(&"+".repeat(43)).is_none());
    }
}

//! The hashes that bind an ID Token to the tokens beside it (OpenID Connect Core §3.1.3.6, C-308).

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256, Sha512};

use super::alg::Alg;

/// Returns the left half of a token's hash, with the hash function of the ID Token's algorithm: `at_hash`, `rt_hash`.
pub(super) fn left_half(alg: Alg, token: &str) -> String {
    let left = |digest: &[u8]| Base64UrlUnpadded::encode_string(&digest[..digest.len() / 2]);
    match alg {
        Alg::RS256 | Alg::PS256 | Alg::ES256 => left(&Sha256::digest(token.as_bytes())),
        Alg::EdDsa => left(&Sha512::digest(token.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_308_a_hash_is_the_left_half_by_the_algorithm() {
        // The example of OpenID Connect Core §A.3.
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(left_half(Alg::RS256, token), "77QmUPtjPfzWtF2AnpK9RQ");
        assert_eq!(left_half(Alg::EdDsa, token).len(), 43);
    }
}

//! What we ask the identity provider for, and which resources we give tokens for.

mod provider;
mod refresh;
mod revoke;

use device_proto::ResourceUrn;
use zeroize::Zeroizing;

pub(crate) use provider::{Provider, ProviderError, Redeem};

/// A login's tokens (step 2 of the token's way). They live in the request that got them.
pub(crate) struct TokenSet {
    pub(crate) access_token: Zeroizing<String>,
    pub(crate) refresh_token: Option<Zeroizing<String>>,
    /// Unix seconds.
    pub(crate) expires_at: u64,
    pub(crate) scope: Option<String>,
    /// Who signed in, for people: the id_token's name, else its subject.
    pub(crate) subject: String,
}

/// Whether we give tokens for a resource: `urn:d:…` is the login's own access token (D-041).
pub(crate) fn is_known(resource: &ResourceUrn) -> bool {
    resource
        .as_str()
        .strip_prefix("urn:d:")
        .is_some_and(|destination| !destination.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_041_a_destination_is_served_and_anything_else_is_an_invalid_target() {
        let known = |urn: &str| is_known(&urn.parse().unwrap());
        assert!(known(ResourceUrn::DEFAULT) && known("urn:d:x"));
        assert!(!known("urn:d:") && !known("urn:dx:y") && !known("urn:other:x"));
    }
}

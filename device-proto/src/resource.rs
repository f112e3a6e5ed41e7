//! The name of what a token is for.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A resource's URN (RFC 8707 uses it as the resource indicator): 5 to 512 printable ASCII characters that
/// begin with `urn:`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceUrn(Box<str>);

impl ResourceUrn {
    /// Bytes a URN may have.
    pub const MAX_LEN: usize = 512;

    /// What is meant when nothing is said: the login's own access token.
    pub const DEFAULT: &str = "urn:d:unified-gateway";

    /// Returns the URN as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ResourceUrn {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl FromStr for ResourceUrn {
    type Err = NotAUrn;

    fn from_str(text: &str) -> Result<Self, NotAUrn> {
        let named = text.strip_prefix("urn:").is_some_and(|rest| !rest.is_empty());
        let fits = text.len() <= Self::MAX_LEN && text.bytes().all(|b| b.is_ascii_graphic());
        if named && fits {
            Ok(Self(text.into()))
        } else {
            Err(NotAUrn)
        }
    }
}

impl TryFrom<String> for ResourceUrn {
    type Error = NotAUrn;

    fn try_from(text: String) -> Result<Self, NotAUrn> {
        text.parse()
    }
}

impl From<ResourceUrn> for String {
    fn from(urn: ResourceUrn) -> Self {
        urn.0.into()
    }
}

impl Borrow<str> for ResourceUrn {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceUrn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not the URN of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a resource is a URN: 'urn:' and at most 508 printable ASCII characters")]
pub struct NotAUrn;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_004_only_a_urn_names_a_resource() {
        assert_eq!(ResourceUrn::default(), ResourceUrn::DEFAULT.parse().unwrap());
        assert!("urn:sap:identity:api:name:my-api".parse::<ResourceUrn>().is_ok());
        for bad in [
            "",
            "urn:",
            "https://x",
            "urn:a b",
            "urn:ü",
            "urn:a\n",
            &format!("urn:{}", "x".repeat(509)),
        ] {
            assert_eq!(bad.parse::<ResourceUrn>(), Err(NotAUrn), "{bad:?}");
        }
    }
}

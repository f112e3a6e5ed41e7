//! The signature algorithms of this server: what it signs with itself, and what clients may sign with.

use std::fmt;
use std::str::FromStr;

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};

/// An asymmetric algorithm (RFC 7518 §3.1, RFC 8037 §3.1). There is none for `none` and `HS*`, so neither can be
/// registered or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Alg {
    RS256,
    PS256,
    ES256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Alg {
    /// All of them, in the order in which they are advertised.
    pub(crate) const ALL: [Self; 4] = [Self::RS256, Self::PS256, Self::ES256, Self::EdDsa];

    /// The name of RFC 7518 or RFC 8037.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::PS256 => "PS256",
            Self::ES256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Returns one of ours, if it is.
    pub(crate) fn of(algorithm: Algorithm) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.algorithm() == algorithm)
    }

    /// Returns the library's own word for it.
    pub(crate) const fn algorithm(self) -> Algorithm {
        match self {
            Self::RS256 => Algorithm::RS256,
            Self::PS256 => Algorithm::PS256,
            Self::ES256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// Not one of the algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownAlg;

impl FromStr for Alg {
    type Err = UnknownAlg;

    fn from_str(name: &str) -> Result<Self, UnknownAlg> {
        Self::ALL
            .into_iter()
            .find(|alg| alg.name() == name)
            .ok_or(UnknownAlg)
    }
}

impl fmt::Display for Alg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

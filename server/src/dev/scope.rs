//! Scopes: a set of words, only ever narrowed on its way from the authorization request to a token.

use std::collections::BTreeSet;
use std::fmt;

/// The scopes a client can be granted.
pub(super) const KNOWN: [&str; 6] = [
    "openid",
    "profile",
    "email",
    "offline_access",
    "api:read",
    "api:write",
];

/// A granted set of scopes; prints as RFC 6749 §3.3 spells it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Scope(BTreeSet<&'static str>);

impl Scope {
    /// Returns the known ones of the scopes asked for; the others are ignored (OpenID Connect Core §3.1.2.1).
    pub(super) fn of_request(text: &str) -> Self {
        Self(text.split(' ').filter_map(known).collect())
    }

    /// Returns the part of this scope that `asked` names (all of it for `None`), or `None` where that is more than there is.
    pub(super) fn narrowed(&self, asked: Option<&str>) -> Option<Self> {
        let Some(asked) = asked else {
            return Some(self.clone());
        };
        let part: Option<BTreeSet<_>> = asked.split(' ').map(|word| self.0.get(word).copied()).collect();
        part.map(Self)
    }

    pub(super) fn contains(&self, word: &str) -> bool {
        self.0.contains(word)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().copied().collect::<Vec<_>>().join(" "))
    }
}

fn known(word: &str) -> Option<&'static str> {
    KNOWN.into_iter().find(|known| *known == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_narrowed_and_never_widened() {
        let scope = Scope::of_request("openid email nonsense");
        assert_eq!(scope.to_string(), "email openid");
        assert_eq!(
            scope
                .narrowed(Some("openid"))
                .map(|part| part.to_string())
                .as_deref(),
            Some("openid")
        );
        assert!(scope.narrowed(Some("openid profile")).is_none());
        assert!(scope.narrowed(Some("nonsense")).is_none());
        assert!(scope.narrowed(None) == Some(scope));
    }
}

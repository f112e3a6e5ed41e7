//! The session of a person in a browser: who signed in, how and when, and the proof that a form is from a page of theirs.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

/// Who signed in, as the identity provider says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Person {
    /// `sub`
    pub(crate) sub: String,
    /// For people.
    pub(crate) name: String,
    /// When the person proved who they are, Unix seconds; when they came here, where the provider does not say.
    pub(crate) auth_time: u64,
    /// Whether the provider says so. Only then is it a fresh proof for what was asked before (C-109).
    #[serde(default)]
    pub(crate) is_auth_time_said: bool,
    /// `acr`: how strong the proof was.
    pub(crate) acr: Option<String>,
    /// `amr`: what the proof was (RFC 8176).
    pub(crate) amr: Vec<String>,
}

impl Person {
    /// Returns when the provider says that the person proved who they are.
    pub(crate) fn proved_at(&self) -> Option<u64> {
        self.is_auth_time_said.then_some(self.auth_time)
    }
}

/// A browser in which a person is signed in.
pub(crate) struct BrowserSession {
    pub(crate) person: Person,
    /// When the session began, Unix seconds.
    pub(crate) began: u64,
    /// What a form of ours carries (C-231). It is made of the cookie, which no other site knows.
    pub(crate) form_token: String,
}

impl BrowserSession {
    /// Whether a form carried the token of this session: it is from a page that we showed to this person.
    pub(crate) fn is_from_our_page(&self, claimed: &str) -> bool {
        self.form_token.as_bytes().ct_eq(claimed.as_bytes()).into()
    }
}

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
    /// When the person proved who they are, Unix seconds.
    pub(crate) auth_time: u64,
    /// `acr`: how strong the proof was.
    pub(crate) acr: Option<String>,
    /// `amr`: what the proof was (RFC 8176).
    pub(crate) amr: Vec<String>,
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

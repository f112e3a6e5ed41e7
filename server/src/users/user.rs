//! A person, as the identity provider and the configuration know them.

use serde::{Deserialize, Serialize};

use crate::config;

/// A person. `sub` is the one of the identity provider, so it is the same person for every client. Addresses and codes are
/// not for the log: there is no `Debug` (C-407).
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Debug))]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(crate) struct User {
    /// `sub`
    pub(crate) sub: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// An address that the identity provider says is theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    /// `preferred_username`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// `phone_number`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) phone: Option<String>,
    /// A disabled user is not asked, and gets nothing for what they were asked before (C-267).
    #[serde(default)]
    pub(crate) disabled: bool,
    /// Hash of the code that clients may have to send (C-201), in PHC form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user_code: Option<String>,
}

impl From<&config::User> for User {
    fn from(named: &config::User) -> Self {
        Self {
            sub: named.sub.clone(),
            name: named.name.clone(),
            email: named.email.clone(),
            username: named.username.clone(),
            phone: named.phone.clone(),
            disabled: named.disabled,
            user_code: named.user_code.clone(),
        }
    }
}

/// What a hint says about the person whom a client means. Like the hint, it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Wanted {
    /// `sub`, of ours.
    Subject(String),
    /// An e-mail address, in any case.
    Email(String),
    /// A phone number.
    Phone(String),
    /// One of those; the configuration says which, and in what order (C-181).
    Any(String),
}

/// Returns the form in which an e-mail address is looked up.
pub(super) fn folded(email: &str) -> String {
    email.trim().to_lowercase()
}

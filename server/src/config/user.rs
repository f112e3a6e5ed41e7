//! `[[user]]`: a person whom the operator names, so that clients may ask for them before they have signed in here.

use std::collections::HashSet;

use serde::Deserialize;

use super::Error;

/// A person whom the operator names. There is no `Debug` (C-407).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(Debug))]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(crate) struct User {
    /// The `sub` that the identity provider knows them by.
    pub(crate) sub: String,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) phone: Option<String>,
    /// A disabled user is not asked (C-267).
    #[serde(default)]
    pub(crate) disabled: bool,
    /// Hash of their user code (C-201), as `ciba-server user set-code` prints it.
    pub(crate) user_code: Option<String>,
}

/// Checks that each name leads to one person.
pub(super) fn understand(users: Vec<User>) -> Result<Vec<User>, Error> {
    unique("user.sub", users.iter().map(|user| Some(user.sub.clone())))?;
    let folded = |email: &String| email.trim().to_lowercase();
    unique(
        "user.email",
        users.iter().map(|user| user.email.as_ref().map(folded)),
    )?;
    unique("user.username", users.iter().map(|user| user.username.clone()))?;
    unique("user.phone", users.iter().map(|user| user.phone.clone()))?;
    Ok(users)
}

fn unique(key: &str, names: impl Iterator<Item = Option<String>>) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for name in names.flatten() {
        if name.trim().is_empty() {
            return Err(Error::value(key, "is empty"));
        }
        if !seen.insert(name) {
            return Err(Error::value(key, "two users have the same one"));
        }
    }
    Ok(())
}

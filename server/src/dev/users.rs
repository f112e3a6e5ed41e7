//! The provider's two users.

use super::secret;

/// Password of every demo user; the login page shows it.
pub(super) const PASSWORD: &str = "demo";

/// A user who can sign in.
pub(super) struct User {
    /// `sub` and `preferred_username`.
    pub(super) username: &'static str,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
}

/// All users.
pub(super) static USERS: [User; 2] = [
    User {
        username: "alice",
        name: "Alice Example",
        email: "alice@example.com",
    },
    User {
        username: "bob",
        name: "Bob Example",
        email: "bob@example.com",
    },
];

/// Returns the user whose name and password these are.
pub(super) fn sign_in(username: &str, password: &str) -> Option<&'static User> {
    let user = USERS.iter().find(|user| user.username == username)?;
    secret::equal(PASSWORD, password).then_some(user)
}

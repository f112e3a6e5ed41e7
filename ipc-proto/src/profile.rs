//! A profile's name: which of the user's logins is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bytes in a profile's name.
const MAX_NAME: usize = 64;

/// The name of a profile: 1–64 characters of `A–Z a–z 0–9 . _ -`, so that it can stand in a file name, a
/// keychain attribute and a log line. `default` unless another is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ProfileName(String);

impl ProfileName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns what to type behind a command so that it means this profile: nothing for `default`.
    pub fn option(&self) -> String {
        if *self == Self::default() {
            String::new()
        } else {
            format!(" --profile {self}")
        }
    }

    /// Returns what to type to log in at that server under this name.
    pub fn login(&self, server: &str) -> String {
        format!("ciba start{} --url {server}", self.option())
    }
}

impl Default for ProfileName {
    fn default() -> Self {
        Self("default".into())
    }
}

impl FromStr for ProfileName {
    type Err = ProfileNameError;

    fn from_str(name: &str) -> Result<Self, ProfileNameError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let fits = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain);
        // ".", ".." and "-x" would mean something else to a shell or a file system.
        if fits && !name.starts_with(['.', '-']) {
            Ok(Self(name.into()))
        } else {
            Err(ProfileNameError)
        }
    }
}

impl TryFrom<String> for ProfileName {
    type Error = ProfileNameError;

    fn try_from(name: String) -> Result<Self, ProfileNameError> {
        name.parse()
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no profile name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileNameError;

impl fmt::Display for ProfileNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a profile name has 1 to 64 letters, digits, '.', '_' or '-', and begins with a letter, a digit or '_'")
    }
}

impl std::error::Error for ProfileNameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_typed_with_its_name_unless_it_is_meant_anyway() {
        assert_eq!(ProfileName::default().login("URL"), "ciba start --url URL");
        let work: ProfileName = "work".parse().unwrap();
        assert_eq!(work.login("URL"), "ciba start --profile work --url URL");
    }

    #[test]
    fn names_that_could_mean_something_else_are_refused() {
        for bad in ["", ".", "..", "-x", "a/b", "a b", "a\n", "ü", &"x".repeat(65)] {
            assert_eq!(bad.parse::<ProfileName>(), Err(ProfileNameError), "{bad:?}");
        }
        for good in [
            "default",
            "work",
            "me@home".split('@').next().unwrap(),
            "a.b_c-1",
            &"x".repeat(64),
        ] {
            assert!(good.parse::<ProfileName>().is_ok(), "{good:?}");
        }
    }
}

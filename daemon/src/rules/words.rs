//! The short texts of a rule: the word for a tool, and a user name that can go into every header.

use std::fmt;

use ipc_proto::{ErrorCode, Failure, MAX_TOOL};
use serde::Deserialize;
use thiserror::Error;

/// Who a token is shown as where a rule does not say. Git hosts take any name with a token; this one is usual.
const USERNAME: &str = "oauth2";

/// Bytes of a user name.
const MAX_USERNAME: usize = 128;

/// The word for a tool, such as `git`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Tool(String);

/// A text is no word for a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a tool is 1 to {MAX_TOOL} lower-case letters, digits and dashes")]
pub(crate) struct ToolError;

impl Tool {
    /// Reads the word of a client.
    ///
    /// # Errors
    ///
    /// `bad_request`.
    pub(crate) fn named(word: String) -> Result<Self, Failure> {
        Self::try_from(word).map_err(|error| Failure::new(ErrorCode::BadRequest, error.to_string()))
    }

    /// Returns the word.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Tool {
    type Error = ToolError;

    fn try_from(word: String) -> Result<Self, ToolError> {
        let is_known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=MAX_TOOL).contains(&word.len()) && word.bytes().all(is_known) {
            Ok(Self(word))
        } else {
            Err(ToolError)
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The user-id of RFC 7617 §2, in ASCII: every tool writes it the same.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Username(String);

/// A text is no user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a username is 1 to {MAX_USERNAME} printable ASCII characters without a colon")]
pub(super) struct UsernameError;

impl Username {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Username {
    fn default() -> Self {
        Self(USERNAME.into())
    }
}

impl TryFrom<String> for Username {
    type Error = UsernameError;

    fn try_from(name: String) -> Result<Self, UsernameError> {
        let is_plain = |b: u8| (b' '..=b'~').contains(&b) && b != b':';
        if (1..=MAX_USERNAME).contains(&name.len()) && name.bytes().all(is_plain) {
            Ok(Self(name))
        } else {
            Err(UsernameError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_a_short_word() {
        for word in ["git", "kubectl", "a-1", &"x".repeat(MAX_TOOL)] {
            assert!(Tool::try_from(word.to_owned()).is_ok(), "{word}");
        }
        for word in ["", "Git", "a b", "a\n", "a\"", "gít", &"x".repeat(MAX_TOOL + 1)] {
            assert_eq!(Tool::try_from(word.to_owned()), Err(ToolError), "{word}");
        }
    }

    #[test]
    fn rfc7617_a_username_fits_into_every_header() {
        for name in ["oauth2", "ada lovelace", "<token>", &"x".repeat(MAX_USERNAME)] {
            assert!(Username::try_from(name.to_owned()).is_ok(), "{name}");
        }
        for name in [
            "",
            "a:b",
            "a\r\nb",
            "a\0",
            "ü",
            "\x7f",
            &"x".repeat(MAX_USERNAME + 1),
        ] {
            assert_eq!(Username::try_from(name.to_owned()), Err(UsernameError), "{name}");
        }
    }
}

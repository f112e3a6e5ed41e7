//! A request that waits for a person's decision (C-211), as the daemon shows it to its clients.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Fewest characters that stand for a request.
pub const MIN_REQUEST_PREFIX: usize = 4;

/// Characters of [`Approval::handle`].
pub const HANDLE: usize = 8;

/// One request. Its texts are the client's own, as the server passed them on: they may hold characters that steer a terminal
/// ([`is_plain`](crate::is_plain)). `Debug` shows its handle alone: with `url` anybody may look at the request.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Its name: 43 characters of base64url.
    pub request: String,
    /// The client's registered name.
    pub client_name: String,
    /// The client's registered page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// Whether the operator of the server entered the client. Otherwise it registered itself, and its page is its own
    /// statement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_vouched: bool,
    /// What the client asks for.
    pub scope: Vec<String>,
    /// Where the client may use it (RFC 8707); none: at the server itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// What the client says to the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding_message: Option<String>,
    /// What exactly the client asks for (RFC 9396), as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<String>,
    /// What the client says of its agent, as JSON text. Nobody has checked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
    /// The page that decides it in a browser.
    pub url: String,
    /// Where it may be approved: the server's rule. It may be denied at both.
    pub answer: AnswerAt,
}

/// Where a request may be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerAt {
    /// With [`Op::Decide`](crate::Op::Decide).
    Terminal,
    /// On its page alone. Also what a client makes of a word that it does not know.
    #[serde(other)]
    Browser,
}

impl Approval {
    /// Returns what people call it: the beginning of its name.
    pub fn handle(&self) -> &str {
        handle(&self.request)
    }
}

impl fmt::Debug for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Approval").field(&self.handle()).finish()
    }
}

/// Returns the beginning of a request's name.
pub fn handle(request: &str) -> &str {
    request.get(..HANDLE).unwrap_or(request)
}

/// The answer to `decide`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The login that it was decided on.
    pub profile: crate::ProfileName,
    /// The request's whole name.
    pub request: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i_010_a_request_is_called_by_the_beginning_of_its_name() {
        assert_eq!(handle("k3Qz-x7_abcdefg"), "k3Qz-x7_");
        for short in ["", "abc", "é"] {
            assert_eq!(handle(short), short, "not a name, and no panic");
        }
    }

    #[test]
    fn i_010_a_rule_from_the_future_needs_the_browser() {
        let answer: AnswerAt = serde_json::from_str("\"from 2030\"").unwrap();
        assert_eq!(answer, AnswerAt::Browser);
    }
}

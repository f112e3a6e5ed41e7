//! What a device asks for beyond its doc (D-040 … D-044, D-065): stateless messages, JSON.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{ApprovalId, ResourceUrn};

/// Bytes of a stateless message that either end reads.
pub const MAX_ASK: usize = 4 * 1024;

/// Bytes of an ask's id.
pub const MAX_ID: usize = 64;

/// Device → server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Ask {
    /// A fresh token for a resource (D-040).
    #[serde(rename = "token.request")]
    Token {
        /// Echoed in the reply.
        id: String,
        /// The resource.
        resource: ResourceUrn,
        /// Seconds it must be valid for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_valid: Option<u64>,
    },
    /// The session is over: revoke, forget, close (D-044).
    #[serde(rename = "session.end")]
    End {
        /// Echoed in the reply.
        id: String,
    },
    /// The person's decision about a request (D-065).
    #[serde(rename = "approval.decide")]
    Decide {
        /// Echoed in the reply.
        id: String,
        /// The request.
        request: ApprovalId,
        /// What the person decided.
        decision: Decision,
    },
}

/// What a person decides about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The client gets what it asks for.
    Approve,
    /// It gets nothing.
    Deny,
}

/// Server → device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Reply {
    /// The doc holds the token.
    #[serde(rename = "token.ready")]
    TokenReady {
        /// The ask's.
        id: String,
        /// The resource.
        resource: ResourceUrn,
    },
    /// The session is gone.
    #[serde(rename = "session.ended")]
    Ended {
        /// The ask's.
        id: String,
    },
    /// The decision counts.
    #[serde(rename = "approval.decided")]
    Decided {
        /// The ask's.
        id: String,
    },
    /// It could not be done.
    #[serde(rename = "error")]
    Error {
        /// The ask's.
        id: String,
        /// An OAuth error code, the provider's where it had one (D-042).
        error: String,
        /// For people.
        #[serde(default)]
        error_description: String,
    },
}

/// A stateless message that is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a message of this protocol")]
pub struct NotOurs;

impl Ask {
    /// Reads what a device sent.
    ///
    /// # Errors
    ///
    /// [`NotOurs`], also over [`MAX_ASK`] and [`MAX_ID`].
    pub fn decode(text: &str) -> Result<Self, NotOurs> {
        let ask: Self = decode(text)?;
        if ask.id().len() <= MAX_ID {
            Ok(ask)
        } else {
            Err(NotOurs)
        }
    }

    /// Returns the id that the reply echoes.
    pub fn id(&self) -> &str {
        match self {
            Self::Token { id, .. } | Self::End { id } | Self::Decide { id, .. } => id,
        }
    }

    /// Returns the message's text.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers always serialize")
    }
}

impl Reply {
    /// Reads what a server sent.
    ///
    /// # Errors
    ///
    /// [`NotOurs`].
    pub fn decode(text: &str) -> Result<Self, NotOurs> {
        decode(text)
    }

    /// Returns the id of the ask that this answers.
    pub fn id(&self) -> &str {
        match self {
            Self::TokenReady { id, .. }
            | Self::Ended { id }
            | Self::Decided { id }
            | Self::Error { id, .. } => id,
        }
    }

    /// Returns the message's text.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("texts always serialize")
    }
}

fn decode<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, NotOurs> {
    if text.len() > MAX_ASK {
        return Err(NotOurs);
    }
    serde_json::from_str(text).map_err(|_| NotOurs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_040_the_words_on_the_wire() {
        let ask = Ask::Token {
            id: "1".into(),
            resource: "urn:d:x".parse().unwrap(),
            min_valid: Some(60),
        };
        assert_eq!(
            ask.encode(),
            r#"{"type":"token.request","id":"1","resource":"urn:d:x","min_valid":60}"#
        );
        assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
        assert_eq!(
            Ask::End { id: "2".into() }.encode(),
            r#"{"type":"session.end","id":"2"}"#
        );
        let reply = Reply::decode(r#"{"type":"error","id":"1","error":"invalid_target"}"#).unwrap();
        assert_eq!(reply.id(), "1");
    }

    #[test]
    fn d_065_a_decision_names_its_request_and_is_one_of_two_words() {
        let ask = |decision| Ask::Decide {
            id: "1".into(),
            request: ApprovalId::of_hash(&[0; 32]),
            decision,
        };
        let text = |word: &str| {
            let name = "A".repeat(ApprovalId::LEN);
            format!(r#"{{"type":"approval.decide","id":"1","request":"{name}","decision":"{word}"}}"#)
        };
        for (decision, word) in [(Decision::Approve, "approve"), (Decision::Deny, "deny")] {
            assert_eq!(ask(decision).encode(), text(word));
            assert_eq!(Ask::decode(&text(word)), Ok(ask(decision)));
        }
        for bad in [text("approved"), text(""), text("approve").replacen('A', "", 1)] {
            assert_eq!(Ask::decode(&bad), Err(NotOurs), "{bad}");
        }
        let decided = Reply::Decided { id: "1".into() };
        assert_eq!(decided.encode(), r#"{"type":"approval.decided","id":"1"}"#);
        assert_eq!(Reply::decode(&decided.encode()), Ok(decided));
    }

    #[test]
    fn d_040_what_is_too_long_or_not_ours_is_refused() {
        assert_eq!(Ask::decode("hello"), Err(NotOurs));
        assert_eq!(Ask::decode(r#"{"type":"shutdown","id":"1"}"#), Err(NotOurs));
        assert_eq!(
            Ask::decode(r#"{"type":"token.request","id":"1","resource":"file:///x"}"#),
            Err(NotOurs)
        );
        assert_eq!(
            Ask::decode(
                &Ask::End {
                    id: "x".repeat(MAX_ID + 1)
                }
                .encode()
            ),
            Err(NotOurs)
        );
        let padded = format!(r#"{{"type":"session.end","id":"1"{}}}"#, " ".repeat(MAX_ASK));
        assert_eq!(Ask::decode(&padded), Err(NotOurs));
    }
}

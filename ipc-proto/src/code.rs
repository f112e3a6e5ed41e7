//! The words for what went wrong (I-006), stable on the socket.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a request failed. The word is stable; the message beside it is for people and may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The profile has no login.
    NotLoggedIn,
    /// There was a login, and it no longer yields tokens.
    LoginRequired,
    /// The person or the identity provider refused.
    LoginDenied,
    /// No session has this profile's name.
    UnknownProfile,
    /// The server does not know the resource, or refuses a token for it (RFC 8707).
    InvalidTarget,
    /// No rule of the user's configuration names the host.
    NoRule,
    /// The user's configuration cannot be read, so no rule is in force.
    BadConfiguration,
    /// The person was asked before the token left, and did not agree.
    Denied,
    /// A provider does not take the client's credentials, or there are none.
    InvalidClient,
    /// No request of this name waits for a decision.
    UnknownRequest,
    /// Several requests begin so.
    AmbiguousRequest,
    /// The request was decided or has expired meanwhile.
    RequestOver,
    /// The request is approved in the browser alone, after a login there.
    NeedsBrowser,
    /// The server cannot be reached, or is not what it claims to be.
    ServerUnreachable,
    /// No keychain can be used.
    KeychainUnavailable,
    /// The keychain is there, and locked.
    KeychainLocked,
    /// It was not done in time: the person did not log in, or the other side did not answer.
    Timeout,
    /// The request makes no sense.
    BadRequest,
    /// The daemon does not know the operation: it is older than its client.
    UnknownOp,
    /// The two sides speak different protocols (I-004).
    UnsupportedProtocol,
    /// Too many at once; try again.
    Busy,
    /// The daemon leaves or becomes another program: ask the next one.
    Leaving,
    /// A fault of ours. Also what a client makes of a word it does not know.
    #[serde(other)]
    Internal,
}

impl ErrorCode {
    /// Returns the word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotLoggedIn => "not_logged_in",
            Self::LoginRequired => "login_required",
            Self::LoginDenied => "login_denied",
            Self::UnknownProfile => "unknown_profile",
            Self::InvalidTarget => "invalid_target",
            Self::NoRule => "no_rule",
            Self::BadConfiguration => "bad_configuration",
            Self::Denied => "denied",
            Self::InvalidClient => "invalid_client",
            Self::UnknownRequest => "unknown_request",
            Self::AmbiguousRequest => "ambiguous_request",
            Self::RequestOver => "request_over",
            Self::NeedsBrowser => "needs_browser",
            Self::ServerUnreachable => "server_unreachable",
            Self::KeychainUnavailable => "keychain_unavailable",
            Self::KeychainLocked => "keychain_locked",
            Self::Timeout => "timeout",
            Self::BadRequest => "bad_request",
            Self::UnknownOp => "unknown_op",
            Self::UnsupportedProtocol => "unsupported_protocol",
            Self::Busy => "busy",
            Self::Leaving => "leaving",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code with the word that it has become known by.
    const KNOWN: [(ErrorCode, &str); 23] = [
        (ErrorCode::NotLoggedIn, "not_logged_in"),
        (ErrorCode::LoginRequired, "login_required"),
        (ErrorCode::LoginDenied, "login_denied"),
        (ErrorCode::UnknownProfile, "unknown_profile"),
        (ErrorCode::InvalidTarget, "invalid_target"),
        (ErrorCode::NoRule, "no_rule"),
        (ErrorCode::BadConfiguration, "bad_configuration"),
        (ErrorCode::Denied, "denied"),
        (ErrorCode::InvalidClient, "invalid_client"),
        (ErrorCode::UnknownRequest, "unknown_request"),
        (ErrorCode::AmbiguousRequest, "ambiguous_request"),
        (ErrorCode::RequestOver, "request_over"),
        (ErrorCode::NeedsBrowser, "needs_browser"),
        (ErrorCode::ServerUnreachable, "server_unreachable"),
        (ErrorCode::KeychainUnavailable, "keychain_unavailable"),
        (ErrorCode::KeychainLocked, "keychain_locked"),
        (ErrorCode::Timeout, "timeout"),
        (ErrorCode::BadRequest, "bad_request"),
        (ErrorCode::UnknownOp, "unknown_op"),
        (ErrorCode::UnsupportedProtocol, "unsupported_protocol"),
        (ErrorCode::Busy, "busy"),
        (ErrorCode::Leaving, "leaving"),
        (ErrorCode::Internal, "internal"),
    ];

    #[test]
    fn i_006_words_are_stable() {
        for (code, word) in KNOWN {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{word}\""));
            assert_eq!(code.word(), word);
        }
    }

    #[test]
    fn i_006_a_word_from_the_future_is_internal() {
        let code: ErrorCode = serde_json::from_str("\"invented_in_2030\"").unwrap();
        assert_eq!(code, ErrorCode::Internal);
    }
}

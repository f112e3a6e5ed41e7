//! The words for what went wrong (I-006): stable on the socket, and the exit status each becomes in a shell.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a request failed. The word is stable; the message beside it is for people and may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Nobody has logged in under this profile.
    NotLoggedIn,
    /// There was a login, and it no longer yields tokens.
    LoginRequired,
    /// The person or the identity provider said no.
    LoginDenied,
    /// No session has this profile's name.
    UnknownProfile,
    /// The server does not know the resource, or refuses a token for it (RFC 8707).
    InvalidTarget,
    /// The server cannot be reached, or is not what it claims to be.
    ServerUnreachable,
    /// No keychain can be used.
    KeychainUnavailable,
    /// The keychain is there, and locked.
    KeychainLocked,
    /// Nobody finished in time.
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
    /// Returns the exit status a command ends with (I-006).
    pub fn exit(self) -> Exit {
        match self {
            Self::NotLoggedIn | Self::LoginRequired | Self::UnknownProfile => Exit::NotLoggedIn,
            Self::ServerUnreachable => Exit::Unreachable,
            Self::LoginDenied => Exit::Denied,
            Self::Timeout => Exit::Timeout,
            Self::BadRequest => Exit::Usage,
            Self::InvalidTarget
            | Self::KeychainUnavailable
            | Self::KeychainLocked
            | Self::UnknownOp
            | Self::UnsupportedProtocol
            | Self::Busy
            | Self::Leaving
            | Self::Internal => Exit::Error,
        }
    }

    /// Returns the word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotLoggedIn => "not_logged_in",
            Self::LoginRequired => "login_required",
            Self::LoginDenied => "login_denied",
            Self::UnknownProfile => "unknown_profile",
            Self::InvalidTarget => "invalid_target",
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

/// How a command ends; the number is the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It worked.
    Ok = 0,
    /// It failed for a reason that has no number of its own.
    Error = 1,
    /// It was asked wrongly.
    Usage = 2,
    /// `ciba start` is needed first.
    NotLoggedIn = 3,
    /// The server is out of reach.
    Unreachable = 4,
    /// Somebody said no.
    Denied = 5,
    /// Nobody answered in time.
    Timeout = 6,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every word with the exit status it has become known by.
    const KNOWN: [(ErrorCode, &str, u8); 15] = [
        (ErrorCode::NotLoggedIn, "not_logged_in", 3),
        (ErrorCode::LoginRequired, "login_required", 3),
        (ErrorCode::LoginDenied, "login_denied", 5),
        (ErrorCode::UnknownProfile, "unknown_profile", 3),
        (ErrorCode::InvalidTarget, "invalid_target", 1),
        (ErrorCode::ServerUnreachable, "server_unreachable", 4),
        (ErrorCode::KeychainUnavailable, "keychain_unavailable", 1),
        (ErrorCode::KeychainLocked, "keychain_locked", 1),
        (ErrorCode::Timeout, "timeout", 6),
        (ErrorCode::BadRequest, "bad_request", 2),
        (ErrorCode::UnknownOp, "unknown_op", 1),
        (ErrorCode::UnsupportedProtocol, "unsupported_protocol", 1),
        (ErrorCode::Busy, "busy", 1),
        (ErrorCode::Leaving, "leaving", 1),
        (ErrorCode::Internal, "internal", 1),
    ];

    #[test]
    fn i_006_words_and_exit_codes_are_stable() {
        for (code, word, exit) in KNOWN {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{word}\""));
            assert_eq!(code.word(), word);
            assert_eq!(code.exit() as u8, exit, "{word}");
        }
    }

    #[test]
    fn i_006_a_word_from_the_future_is_internal() {
        let code: ErrorCode = serde_json::from_str("\"invented_in_2030\"").unwrap();
        assert_eq!(code, ErrorCode::Internal);
    }
}

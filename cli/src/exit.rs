//! The exit status of a command (I-006): scripts rely on it.

use std::process::ExitCode;

use ipc_proto::ErrorCode;

/// How a command ends; the number is the exit status.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
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
    /// The person or the identity provider refused.
    Denied = 5,
    /// It was not done in time.
    Timeout = 6,
    /// The program to run was found and cannot be run (POSIX.1, env).
    NoStart = 126,
    /// The program to run was not found (POSIX.1, env).
    NoProgram = 127,
}

impl From<ErrorCode> for Exit {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::NotLoggedIn | ErrorCode::LoginRequired | ErrorCode::UnknownProfile => {
                Self::NotLoggedIn
            }
            ErrorCode::ServerUnreachable => Self::Unreachable,
            ErrorCode::LoginDenied | ErrorCode::Denied => Self::Denied,
            ErrorCode::Timeout => Self::Timeout,
            ErrorCode::BadRequest | ErrorCode::AmbiguousRequest => Self::Usage,
            ErrorCode::NoRule
            | ErrorCode::BadConfiguration
            | ErrorCode::InvalidClient
            | ErrorCode::UnknownRequest
            | ErrorCode::RequestOver
            | ErrorCode::NeedsBrowser
            | ErrorCode::InvalidTarget
            | ErrorCode::KeychainUnavailable
            | ErrorCode::KeychainLocked
            | ErrorCode::UnknownOp
            | ErrorCode::UnsupportedProtocol
            | ErrorCode::Busy
            | ErrorCode::Leaving
            | ErrorCode::Internal => Self::Error,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i_006_exit_statuses_are_stable() {
        for (code, status) in [
            (ErrorCode::NotLoggedIn, 3),
            (ErrorCode::LoginRequired, 3),
            (ErrorCode::LoginDenied, 5),
            (ErrorCode::UnknownProfile, 3),
            (ErrorCode::InvalidTarget, 1),
            (ErrorCode::NoRule, 1),
            (ErrorCode::BadConfiguration, 1),
            (ErrorCode::Denied, 5),
            (ErrorCode::InvalidClient, 1),
            (ErrorCode::UnknownRequest, 1),
            (ErrorCode::AmbiguousRequest, 2),
            (ErrorCode::RequestOver, 1),
            (ErrorCode::NeedsBrowser, 1),
            (ErrorCode::ServerUnreachable, 4),
            (ErrorCode::KeychainUnavailable, 1),
            (ErrorCode::KeychainLocked, 1),
            (ErrorCode::Timeout, 6),
            (ErrorCode::BadRequest, 2),
            (ErrorCode::UnknownOp, 1),
            (ErrorCode::UnsupportedProtocol, 1),
            (ErrorCode::Busy, 1),
            (ErrorCode::Leaving, 1),
            (ErrorCode::Internal, 1),
        ] {
            assert_eq!(Exit::from(code) as u8, status, "{code}");
        }
    }
}

//! Why a command failed: the daemon's failures and the client's own, in the same words (I-006).

use std::ffi::OsStr;
use std::io;

use ipc_proto::{ErrorCode, Failure, ProfileName};

use crate::exit::Exit;

/// Why a command did not do what was asked.
pub(crate) enum Error {
    /// A person is told; the code decides the exit status.
    Told(Failure),
    /// As [`Error::Told`], for a program that could not take the place of `ciba`: it has an exit status of its own.
    NotRun(Failure, Exit),
    /// The reader of standard output has closed it, as `head` does: that is no failure.
    BrokenPipe,
}

impl Error {
    /// Returns a failure that has no word of its own.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::Told(Failure::new(ErrorCode::Internal, message))
    }

    /// Returns a failure of the command line or the environment.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Told(Failure::new(ErrorCode::BadRequest, message))
    }

    /// Returns the failure of a daemon that did not answer in time.
    pub(crate) fn timeout(message: impl Into<String>) -> Self {
        Self::Told(Failure::new(ErrorCode::Timeout, message))
    }

    /// Returns the failure of a program that was to take the place of `ciba`.
    pub(crate) fn not_run(program: &OsStr, error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => Exit::NoProgram,
            _ => Exit::NoStart,
        };
        let message = format!("{} cannot be run: {error}", program.to_string_lossy());
        Self::NotRun(Failure::new(ErrorCode::Internal, message), exit)
    }

    /// Returns what a person would be told.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Told(failure) | Self::NotRun(failure, _) => Some(failure),
            Self::BrokenPipe => None,
        }
    }

    /// Adds the next thing to type, unless the daemon has named one.
    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Told(failure) if failure.hint.is_none() => Self::Told(failure.hint(hint)),
            other => other,
        }
    }

    /// Adds the cure of a login that is needed, unless the daemon has named one.
    #[must_use]
    pub(crate) fn about(self, profile: &ProfileName) -> Self {
        let is_cured = |failure: &Failure| Exit::from(failure.code) == Exit::NotLoggedIn;
        if self.failure().is_some_and(is_cured) {
            return self.hint(profile.login("URL"));
        }
        self
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure.code {
            ErrorCode::UnknownOp => too_old(),
            ErrorCode::UnsupportedProtocol => {
                Self::Told(failure).hint("install ciba and cibad of the same version")
            }
            _ => Self::Told(failure),
        }
    }
}

/// What was asked is an operation of ours: a daemon that does not know it is older.
fn too_old() -> Error {
    Failure::new(
        ErrorCode::UnsupportedProtocol,
        "the running cibad is older than this ciba and cannot do that",
    )
    .hint("upgrade cibad, then: ciba restart")
    .into()
}

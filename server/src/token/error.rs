//! Why the identity provider gave no tokens, told by what a person can be told.

use thiserror::Error;

use crate::outgoing::CallError;

/// Why the provider gave no tokens.
#[derive(Clone, Debug, Error)]
pub(crate) enum ProviderError {
    /// It cannot be reached, or not in time.
    #[error("the identity provider cannot be reached: {0}")]
    Unreachable(String),
    /// It answered, and what it said makes no sense.
    #[error("the identity provider's answer makes no sense: {0}")]
    Nonsense(&'static str),
    /// It said no; its OAuth error code.
    #[error("the identity provider refused: {0}")]
    Refused(String),
    /// The id_token is not one for this login.
    #[error("the identity provider's id_token was refused: {0}")]
    BadIdToken(&'static str),
}

impl ProviderError {
    /// Returns the OAuth error code that the device is told.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Unreachable(_) => "temporarily_unavailable",
            Self::Nonsense(_) | Self::BadIdToken(_) => "server_error",
            Self::Refused(code) => code,
        }
    }
}

impl From<CallError> for ProviderError {
    fn from(cause: CallError) -> Self {
        Self::Unreachable(cause.to_string())
    }
}

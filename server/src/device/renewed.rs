//! What a renewal came to: a token that lasts, or why there is none, as the device is told.

use thiserror::Error;

use super::record::TooMany;
use super::records::SessionError;
use crate::token::ProviderError;

/// What a device would take for the end of its login.
const ABOUT_LOGINS: [&str; 3] = ["invalid_grant", "login_required", "expired_token"];

/// Why there is no token.
#[derive(Clone, Debug, Error)]
pub(super) enum RenewError {
    /// We give no tokens for that resource.
    #[error("this server gives no tokens for that resource")]
    InvalidTarget,
    /// Not for so many.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The session yields none any more.
    #[error("the login no longer yields tokens")]
    LoginRequired,
    /// The provider gave none.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The device makes the provider work too much.
    #[error("too much was asked of the identity provider")]
    TooOften,
    /// The server leaves: what it began now, nobody might keep.
    #[error("the server is about to stop")]
    Leaving,
    /// The store failed.
    #[error("the server's store does not answer")]
    Store(#[from] SessionError),
}

/// There is a token that lasts, and the doc shows it; or there is none.
pub(super) type Renewed = Result<(), RenewError>;

impl RenewError {
    /// Returns the code that the device is told (D-042).
    pub(super) fn code(&self) -> &str {
        match self {
            Self::InvalidTarget | Self::TooMany(_) => "invalid_target",
            Self::LoginRequired => "login_required",
            Self::TooOften => "slow_down",
            Self::Provider(error) => error.code(),
            Self::Leaving | Self::Store(_) => "temporarily_unavailable",
        }
    }

    /// The provider's no to one exchange is no word about the login, however it is put.
    pub(super) fn of_an_exchange(self) -> Self {
        match self {
            Self::Provider(ProviderError::Refused(code)) if ABOUT_LOGINS.contains(&&*code) => {
                Self::InvalidTarget
            }
            other => other,
        }
    }

    /// Whether the provider may have meant the login's token, not what it was to be exchanged for: RFC 8693 §2.2.2 has
    /// one code for both.
    pub(super) fn is_about_the_subject(&self) -> bool {
        matches!(self, Self::Provider(ProviderError::Refused(code)) if code == "invalid_request" || code == "invalid_grant")
    }
}

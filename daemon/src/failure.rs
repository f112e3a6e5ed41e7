//! What a client is told of the daemon's own errors: the code, the text, and what to type. Only here they meet wire 1.

use ipc_proto::{ErrorCode, Failure};

use crate::authorize::AuthorizeError;
use crate::handover::HandOverError;
use crate::keychain::KeychainError;
use crate::loading::Unread;
use crate::oauth_error;
use crate::secret::DrawError;
use crate::server::BadUrl;
use crate::server::client::HttpError;

/// What to do when another program answers.
pub(crate) const ASK_FOR_THE_URL: &str = "check the URL with whoever runs the server";

impl From<BadUrl> for Failure {
    fn from(error: BadUrl) -> Self {
        Self::new(ErrorCode::BadRequest, error.to_string())
    }
}

impl From<DrawError> for Failure {
    fn from(error: DrawError) -> Self {
        Self::new(ErrorCode::Internal, error.to_string())
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        let failure = Self::new(ErrorCode::ServerUnreachable, error.to_string());
        match error {
            HttpError::NotAServer => failure.hint(ASK_FOR_THE_URL),
            _ => failure,
        }
    }
}

impl From<AuthorizeError> for Failure {
    fn from(error: AuthorizeError) -> Self {
        let message = error.to_string();
        match error {
            AuthorizeError::Http(error) => error.into(),
            AuthorizeError::Unreached { origin, .. } => {
                let message = format!("{origin}: {message}");
                Self::new(ErrorCode::ServerUnreachable, message).hint("check the URL; is the server running?")
            }
            AuthorizeError::Busy { retry_after } => {
                let wait = retry_after.map_or_else(|| "a minute".into(), |seconds| format!("{seconds} s"));
                Self::new(ErrorCode::Busy, message).hint(format!("try again in {wait}"))
            }
            AuthorizeError::Refused { error, description } => {
                let failure = oauth_error::failure(&error, &description);
                match error.as_str() {
                    // Here it is about what this program sent, and that is what the person typed.
                    "invalid_request" => Self::new(ErrorCode::BadRequest, failure.message),
                    _ => failure,
                }
            }
        }
    }
}

impl From<KeychainError> for Failure {
    fn from(error: KeychainError) -> Self {
        let (code, hint) = match error {
            KeychainError::Locked(_) => (
                ErrorCode::KeychainLocked,
                "unlock it, and cibad goes on by itself",
            ),
            _ => (ErrorCode::KeychainUnavailable, "ciba doctor"),
        };
        Self::new(code, error.to_string()).hint(hint)
    }
}

impl From<Unread> for Failure {
    fn from(error: Unread) -> Self {
        let (code, hint) = match error {
            Unread(KeychainError::Locked(_)) => (
                ErrorCode::KeychainLocked,
                "unlock it, and cibad goes on by itself; or log in anew: ciba start --url URL",
            ),
            _ => (ErrorCode::KeychainUnavailable, "ciba doctor"),
        };
        Self::new(code, error.to_string()).hint(hint)
    }
}

impl From<HandOverError> for Failure {
    fn from(error: HandOverError) -> Self {
        let code = match error {
            HandOverError::Leaving => ErrorCode::Leaving,
            // The daemon goes on as it is, and may be asked again.
            _ => ErrorCode::Busy,
        };
        Self::new(code, error.to_string())
    }
}

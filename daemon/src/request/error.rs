//! Why nothing was granted: each cause once, with what the client is told and what its person may do.

use http::StatusCode;
use ipc_proto::{ErrorCode, Failure};
use serde::Deserialize;
use thiserror::Error;

use super::id_token::IdTokenError;
use crate::issuer::BadIssuer;
use crate::keychain::KeychainError;
use crate::printable::printable;
use crate::server::client::HttpError;

/// Characters of a provider's explanation that are shown.
const MAX_TEXT: usize = 300;

/// Why a request ends without a token. The texts quote nothing but what a provider says for people to read.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum RequestError {
    #[error(transparent)]
    Issuer(#[from] BadIssuer),
    #[error("{0}")]
    Parameter(&'static str),
    #[error("no credentials of this client are kept here, and none were given")]
    NoCredential,
    #[error("{0}")]
    Key(&'static str),
    #[error(transparent)]
    Keychain(#[from] KeychainError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("no OpenID provider describes itself at this issuer")]
    NoProvider,
    #[error(
        "what answers there names itself otherwise; the issuer has to be the same, character for character"
    )]
    OtherIssuer,
    #[error(
        "this provider cannot ask a person for a client: it names no backchannel authentication endpoint"
    )]
    NoCiba,
    #[error("the provider names an endpoint that is not as private as its issuer (https)")]
    Endpoint,
    #[error("the provider's answer is not of the form that OpenID CIBA wants")]
    Garbled,
    #[error("the provider refused: {}", .0.text())]
    Refused(Refusal),
    #[error("denied: the person or the provider refused the request")]
    Denied,
    #[error("the request lapsed: nobody approved it in time")]
    Lapsed,
    #[error("the provider's ID token is not accepted: {0}")]
    IdToken(#[from] IdTokenError),
    #[error("cibad cannot listen there for the provider's ping: {0}")]
    Listen(std::io::ErrorKind),
    #[error("this system gives no random numbers")]
    NoRandom,
}

/// A provider's error in OAuth's form (RFC 6749 §5.2, CIBA Core §13).
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Refusal {
    pub(super) error: String,
    #[serde(default)]
    error_description: String,
}

impl Refusal {
    /// Returns the provider's code and words, fit to be shown.
    fn text(&self) -> String {
        let [error, description] =
            [&self.error, &self.error_description].map(|text| printable(text, MAX_TEXT));
        match (error.is_empty(), description.is_empty()) {
            (true, _) => "it does not say why".into(),
            (_, true) => error,
            _ => format!("{description} ({error})"),
        }
    }

    /// Returns what kind of failure it is: of the client, or of what was asked for.
    fn code(&self) -> ErrorCode {
        match self.error.as_str() {
            "invalid_client" | "unauthorized_client" => ErrorCode::InvalidClient,
            "invalid_target" => ErrorCode::InvalidTarget,
            "invalid_scope"
            | "invalid_request"
            | "expired_login_hint_token"
            | "unknown_user_id"
            | "missing_user_code"
            | "invalid_user_code"
            | "invalid_binding_message"
            | "invalid_authorization_details" => ErrorCode::BadRequest,
            "temporarily_unavailable" => ErrorCode::ServerUnreachable,
            _ => ErrorCode::Internal,
        }
    }

    /// Returns what may help; the provider's own words say the rest.
    fn hint(&self) -> Option<&'static str> {
        Some(match self.error.as_str() {
            "invalid_client" => "ciba client add --issuer URL --client-id ID, which keeps another secret",
            "unknown_user_id" => {
                "name the person otherwise: the provider says what a login hint is, an e-mail address for example"
            }
            "invalid_scope" => "--scope \"openid …\", with what the client may have at this provider",
            "missing_user_code" | "invalid_user_code" => {
                "ask the person for their code: ciba request --user-code-file FILE"
            }
            _ => return None,
        })
    }
}

impl RequestError {
    /// Returns the error of a provider that says itself that it is in trouble.
    pub(super) fn fault(status: StatusCode) -> Self {
        HttpError::Fault(status.as_u16()).into()
    }

    /// Reads an answer that is no success.
    pub(super) fn of(status: StatusCode, body: &[u8]) -> Self {
        if status.is_server_error() {
            return Self::fault(status);
        }
        match serde_json::from_slice::<Refusal>(body) {
            Ok(refusal) if status.is_client_error() => Self::refused(refusal),
            _ => Self::Garbled,
        }
    }

    /// Whether the provider does not know the request (any more).
    pub(super) fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.error == "invalid_grant")
    }

    fn refused(refusal: Refusal) -> Self {
        match refusal.error.as_str() {
            "access_denied" => Self::Denied,
            "expired_token" => Self::Lapsed,
            _ => Self::Refused(refusal),
        }
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::Issuer(_) | Self::Parameter(_) | Self::Key(_) | Self::Listen(_) => ErrorCode::BadRequest,
            Self::NoCredential => ErrorCode::InvalidClient,
            Self::Http(_) | Self::NoProvider | Self::OtherIssuer => ErrorCode::ServerUnreachable,
            Self::Refused(refusal) => refusal.code(),
            Self::Denied => ErrorCode::Denied,
            Self::Lapsed => ErrorCode::Timeout,
            Self::Keychain(_)
            | Self::NoCiba
            | Self::Endpoint
            | Self::Garbled
            | Self::IdToken(_)
            | Self::NoRandom => ErrorCode::Internal,
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let failure = Self::new(error.code(), error.to_string());
        match error {
            RequestError::Keychain(error) => error.into(),
            RequestError::NoCredential => failure.hint("ciba client add --issuer URL --client-id ID"),
            RequestError::Http(_) | RequestError::NoProvider => {
                failure.hint("check the issuer; is the provider running?")
            }
            RequestError::OtherIssuer => {
                failure.hint("`issuer` in ISSUER/.well-known/openid-configuration is the provider's own name")
            }
            RequestError::Refused(refusal) => match refusal.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            },
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_can_do_is_said() {
        let hint = |error: &str| {
            let body = format!(r#"{{"error":"{error}"}}"#);
            Failure::from(RequestError::of(StatusCode::BAD_REQUEST, body.as_bytes())).hint
        };
        for (error, says) in [
            ("invalid_client", "ciba client add"),
            ("unknown_user_id", "login hint"),
            ("invalid_scope", "--scope"),
            ("invalid_user_code", "--user-code-file"),
        ] {
            assert!(hint(error).is_some_and(|hint| hint.contains(says)), "{error}");
        }
        assert_eq!(hint("access_denied"), None);
    }

    #[test]
    fn a_providers_codes_become_ours() {
        let refused = |error: &str| {
            let body = format!(r#"{{"error":"{error}","error_description":"Because."}}"#);
            Failure::from(RequestError::of(StatusCode::BAD_REQUEST, body.as_bytes()))
        };
        for (error, code) in [
            ("access_denied", ErrorCode::Denied),
            ("expired_token", ErrorCode::Timeout),
            ("invalid_client", ErrorCode::InvalidClient),
            ("unauthorized_client", ErrorCode::InvalidClient),
            ("invalid_scope", ErrorCode::BadRequest),
            ("unknown_user_id", ErrorCode::BadRequest),
            ("invalid_binding_message", ErrorCode::BadRequest),
            ("invalid_user_code", ErrorCode::BadRequest),
            ("invalid_target", ErrorCode::InvalidTarget),
            ("temporarily_unavailable", ErrorCode::ServerUnreachable),
            ("invalid_grant", ErrorCode::Internal),
            ("from 2030", ErrorCode::Internal),
        ] {
            assert_eq!(refused(error).code, code, "{error}");
        }
        assert_eq!(
            refused("invalid_scope").message,
            "the provider refused: Because. (invalid_scope)"
        );
    }

    #[test]
    fn what_is_no_refusal_is_not_taken_for_one() {
        for (status, body, expected) in [
            (500, "{}", RequestError::Http(HttpError::Fault(500))),
            (400, "<html>", RequestError::Garbled),
            (400, "{}", RequestError::Garbled),
            (302, r#"{"error":"access_denied"}"#, RequestError::Garbled),
            (403, r#"{"error":"access_denied"}"#, RequestError::Denied),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                RequestError::of(status, body.as_bytes()),
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn a_providers_words_cannot_steer_a_terminal() {
        let body = "{\"error\":\"a\\u001b[2J\",\"error_description\":\"\\u202eb\\n\"}";
        let error = RequestError::of(StatusCode::BAD_REQUEST, body.as_bytes());
        assert_eq!(error.to_string(), "the provider refused: b (a[2J)");
    }
}

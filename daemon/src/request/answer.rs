//! What the token endpoint says to a question (CIBA Core §10.1.1, §11): tokens, not yet, or never.

use std::time::SystemTime;

use http::StatusCode;
use ipc_proto::{GrantedFields, SecretText};
use serde::Deserialize;
use serde_json::Value;

use super::course::Undecided;
use super::error::RequestError;
use super::http::Answer;
use crate::server::client::HttpError;

/// Bytes of what was allowed, as JSON: the answer has to fit into a line of the local socket.
const MAX_DETAILS: usize = 16 * 1024;

/// Bytes of the tokens together.
const MAX_TOKENS: usize = 40 * 1024;

/// What the provider gave. No Debug.
pub(crate) struct Granted {
    form: Form,
    expires_at: Option<u64>,
}

#[derive(Deserialize)]
struct Form {
    access_token: SecretText,
    token_type: String,
    expires_in: Option<u64>,
    scope: Option<String>,
    id_token: Option<SecretText>,
    refresh_token: Option<SecretText>,
    authorization_details: Option<Value>,
}

/// An answer, as the course of the request sees it.
pub(super) enum Outcome {
    Granted(Granted),
    Undecided(Undecided, Option<HttpError>),
    Over(RequestError),
}

impl Granted {
    /// Reads the answer's body; `None` if any part of it cannot be used.
    fn read(body: &[u8]) -> Option<Self> {
        let form: Form = serde_json::from_slice(body).ok()?;
        let tokens = [
            Some(&form.access_token),
            form.id_token.as_ref(),
            form.refresh_token.as_ref(),
        ];
        let tokens = || tokens.iter().flatten().map(|token| token.expose());
        let are_printable =
            tokens().all(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
        let fit = tokens().map(str::len).sum::<usize>() <= MAX_TOKENS;
        let details = form.authorization_details.as_ref();
        let details_fit = details.is_none_or(|details| details.to_string().len() <= MAX_DETAILS);
        let is_bearer = form.token_type.eq_ignore_ascii_case("Bearer");
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        let expires_at = form.expires_in.map(|seconds| now.saturating_add(seconds));
        (are_printable && fit && details_fit && is_bearer).then_some(Self { form, expires_at })
    }

    pub(super) fn id_token(&self) -> Option<&str> {
        self.form.id_token.as_ref().map(SecretText::expose)
    }

    /// Returns what the client gets.
    pub(crate) fn fields(&self) -> GrantedFields<'_> {
        let form = &self.form;
        GrantedFields {
            access_token: form.access_token.expose(),
            token_type: "Bearer",
            expires_at: self.expires_at,
            scope: form.scope.as_deref(),
            id_token: self.id_token(),
            refresh_token: form.refresh_token.as_ref().map(SecretText::expose),
            authorization_details: form.authorization_details.as_ref(),
        }
    }
}

impl Outcome {
    /// Reads the answer. A provider that cannot be reached or is in trouble is asked again; one whose certificate is wrong,
    /// or that answers what is no answer, is not.
    pub(super) fn of(answer: Result<Answer, HttpError>) -> Self {
        let trouble = |retry_after, error| Self::Undecided(Undecided::Trouble { retry_after }, Some(error));
        let Answer {
            status,
            retry_after,
            body,
        } = match answer {
            Ok(answer) => answer,
            Err(error @ (HttpError::Slow | HttpError::Unreachable(_) | HttpError::Broken)) => {
                return trouble(None, error);
            }
            Err(error) => return Self::Over(error.into()),
        };
        if status == StatusCode::OK {
            return Granted::read(&body).map_or(Self::Over(RequestError::Garbled), Self::Granted);
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return trouble(retry_after, HttpError::Fault(status.as_u16()));
        }
        match RequestError::of(status, &body) {
            RequestError::Refused(refusal) if refusal.error == "authorization_pending" => {
                Self::Undecided(Undecided::Pending, None)
            }
            RequestError::Refused(refusal) if refusal.error == "slow_down" => {
                Self::Undecided(Undecided::SlowDown, None)
            }
            error => Self::Over(error),
        }
    }
}

//! A token response: what the provider answers when a code is spent, a login refreshed or a token exchanged (RFC 6749 §5,
//! RFC 8693 §2.2.1), and what of it is good.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use store::UnixSeconds;
use zeroize::Zeroizing;

use super::{AccessToken, ProviderError};
use crate::outgoing::Answer;

/// Bytes of a token that we take. Sealed together with a refresh token and once more in base64url, one is still within
/// what a device opens ([`device_proto::seal::MAX_SEALED`]).
pub(super) const MAX_TOKEN: usize = 16 * 1024;

/// Bytes of a scope that we pass on; a longer one is left out.
const MAX_SCOPE: usize = 4 * 1024;

/// Characters of the provider's error code that we pass on.
const MAX_CODE: usize = 60;

/// How long a token lives when the provider does not say, seconds.
pub(super) const DEFAULT_LIFETIME: u64 = 300;

const TOO_LONG: ProviderError = ProviderError::Nonsense("its token is too long");

/// A successful response, as far as it can be read: a refresh token counts, whatever else is wrong.
#[derive(Deserialize)]
pub(super) struct Response {
    #[serde(default, deserialize_with = "odd_is_none")]
    access_token: Option<String>,
    #[serde(default, deserialize_with = "odd_is_none")]
    token_type: Option<String>,
    expires_in: Option<Value>,
    #[serde(default, deserialize_with = "odd_is_none")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "odd_is_none")]
    refresh_token: Option<String>,
    /// Some providers' own: seconds for which the refresh token is good; 0: unknown.
    #[serde(default, deserialize_with = "odd_is_none")]
    refresh_expires_in: Option<u64>,
    /// OpenID Connect Core §3.1.3.3.
    pub(super) id_token: Option<Value>,
    /// RFC 8693 §2.2.1.
    #[serde(default, deserialize_with = "odd_is_none")]
    pub(super) issued_token_type: Option<String>,
}

/// What is not of the expected type says nothing.
fn odd_is_none<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}

/// RFC 6749 §5.2.
#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// A refresh token that came with a response.
pub(super) struct RefreshToken {
    pub(super) text: Zeroizing<String>,
    /// Unix seconds, if the provider says so.
    pub(super) ends: Option<u64>,
}

impl Response {
    /// Reads an answer of the token endpoint. It may hold a token: neither it nor the parser's words go anywhere.
    pub(super) fn read(answer: &Answer) -> Result<Self, ProviderError> {
        const UNREADABLE: ProviderError = ProviderError::Nonsense("its token response cannot be read");
        if !answer.status().is_success() {
            let refused: Refused = serde_json::from_slice(answer.body()).map_err(|_| UNREADABLE)?;
            return Err(refusal(&refused.error));
        }
        serde_json::from_slice(answer.body()).map_err(|_| UNREADABLE)
    }

    /// Wipes the tokens that nothing needs.
    pub(super) fn wipe(self) {
        drop(self.access_token.map(Zeroizing::new));
        drop(self.refresh_token.map(Zeroizing::new));
    }

    /// Takes the refresh token out, if there is one.
    pub(super) fn take_refresh_token(
        &mut self,
        asked: UnixSeconds,
    ) -> Result<Option<RefreshToken>, ProviderError> {
        let Some(text) = self.refresh_token.take().map(Zeroizing::new) else {
            return Ok(None);
        };
        if text.len() > MAX_TOKEN {
            return Err(TOO_LONG);
        }
        let seconds = self.refresh_expires_in.filter(|seconds| *seconds > 0);
        let ends = seconds.map(|seconds| asked.plus(seconds).seconds());
        Ok(Some(RefreshToken { text, ends }))
    }

    /// Returns the access token, if a device can use it: a device shows it as `Bearer` (RFC 6750).
    pub(super) fn checked(self, asked: UnixSeconds) -> Result<AccessToken, ProviderError> {
        let text = Zeroizing::new(self.access_token.unwrap_or_default());
        if text.is_empty() {
            return Err(ProviderError::Nonsense("it gave no access token"));
        }
        if text.len() > MAX_TOKEN {
            return Err(TOO_LONG);
        }
        let is_bearer = |kind: String| kind.eq_ignore_ascii_case("bearer");
        if !self.token_type.is_some_and(is_bearer) {
            return Err(ProviderError::Nonsense("its token is no bearer token"));
        }
        let lifetime = match self.expires_in {
            Some(said) => said.as_u64().unwrap_or(0),
            None => DEFAULT_LIFETIME,
        };
        if lifetime == 0 {
            return Err(ProviderError::Nonsense("its token has ended already"));
        }
        Ok(AccessToken {
            text,
            expires_at: asked.plus(lifetime).seconds(),
            scope: self.scope.and_then(usable_scope),
            issued_type: None,
        })
    }
}

/// Leaves out a scope that is too long to be passed on.
pub(super) fn usable_scope(scope: String) -> Option<String> {
    Some(scope).filter(|scope| scope.len() <= MAX_SCOPE)
}

/// Returns what the provider's error code means. RFC 6749 §5.2 allows printable ASCII; anything else is left out.
fn refusal(code: &str) -> ProviderError {
    let code: String = code
        .chars()
        .filter(char::is_ascii_graphic)
        .take(MAX_CODE)
        .collect();
    match code.as_str() {
        // Some providers put a fault of their own into the words of a refusal (RFC 6749 §4.1.2.1 names both codes).
        "server_error" | "temporarily_unavailable" => {
            ProviderError::Unreachable(format!("it answers {code}"))
        }
        _ => ProviderError::Refused(code),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixSeconds = UnixSeconds::new(1_000);

    fn answer(status: u16, body: &Value) -> Result<Response, ProviderError> {
        let mut answer = Answer::new(body.to_string().into_bytes());
        *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
        Response::read(&answer)
    }

    fn with(name: &str, value: &Value) -> Response {
        let mut body = json!({ "access_token": "a.b", "token_type": "Bearer", "expires_in": 60 });
        body[name] = value.clone();
        answer(200, &body).unwrap()
    }

    #[test]
    fn d_021_a_good_response_is_a_token() {
        for (name, value, ends) in [
            ("scope", json!("a b"), 60),
            ("token_type", json!("bearer"), 60),
            ("token_type", json!("BEARER"), 60),
            ("expires_in", Value::Null, DEFAULT_LIFETIME),
            ("scope", json!(["a"]), 60),
        ] {
            let token = with(name, &value).checked(NOW).unwrap();
            assert_eq!((&**token.text, token.expires_at), ("a.b", 1_000 + ends), "{name}");
            assert_eq!(token.issued_type, None);
        }
        let scope = |text: String| with("scope", &json!(text)).checked(NOW).unwrap().scope;
        assert_eq!(scope("a b".into()).as_deref(), Some("a b"));
        assert!(scope("x".repeat(MAX_SCOPE)).is_some() && scope("x".repeat(MAX_SCOPE + 1)).is_none());
    }

    #[test]
    fn d_021_what_no_device_could_show_as_bearer_is_no_token() {
        for (name, value) in [
            ("access_token", Value::Null),
            ("access_token", json!("")),
            ("access_token", json!(7)),
            ("access_token", json!("x".repeat(MAX_TOKEN + 1))),
            ("token_type", Value::Null),
            ("token_type", json!("DPoP")),
            ("token_type", json!("N_A")),
            ("expires_in", json!(0)),
            ("expires_in", json!(-1)),
            ("expires_in", json!(0.5)),
            ("expires_in", json!("60")),
        ] {
            let token = with(name, &value).checked(NOW);
            assert!(
                matches!(token, Err(ProviderError::Nonsense(_))),
                "{name}: {value}"
            );
        }
        assert!(
            with("access_token", &json!("x".repeat(MAX_TOKEN)))
                .checked(NOW)
                .is_ok()
        );
    }

    #[test]
    fn d_043_a_refresh_token_counts_whatever_else_is_wrong() {
        let mut response = with("access_token", &json!(7));
        response.refresh_token = Some("next".into());
        response.refresh_expires_in = Some(60);
        let token = response.take_refresh_token(NOW).unwrap().unwrap();
        assert_eq!((&**token.text, token.ends), ("next", Some(1_060)));
        assert!(response.take_refresh_token(NOW).unwrap().is_none());
        response.refresh_token = Some("x".repeat(MAX_TOKEN));
        response.refresh_expires_in = Some(0);
        assert_eq!(response.take_refresh_token(NOW).unwrap().unwrap().ends, None);
        response.refresh_token = Some("x".repeat(MAX_TOKEN + 1));
        assert!(response.take_refresh_token(NOW).is_err());
    }

    #[test]
    fn d_042_the_providers_word_passes_through_and_its_trouble_is_told_as_such() {
        let code = |status, error: &str| answer(status, &json!({ "error": error })).err().unwrap();
        assert_eq!(code(400, "invalid_target").code(), "invalid_target");
        assert_eq!(code(401, "invalid_client").code(), "invalid_client");
        assert_eq!(code(400, "own \u{1b}[31mword").code(), "own[31mword");
        assert_eq!(code(400, &"x".repeat(MAX_CODE + 1)).code().len(), MAX_CODE);
        assert_eq!(code(400, "server_error").code(), "temporarily_unavailable");
        assert_eq!(answer(403, &json!("no")).err().unwrap().code(), "server_error");
    }
}

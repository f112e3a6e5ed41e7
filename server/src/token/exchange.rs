//! The login's access token for one that another audience takes (RFC 8693).

use openidconnect::HttpResponse;
use serde::Deserialize;
use store::UnixSeconds;
use zeroize::Zeroizing;

use super::provider::{answered, usable_scope};
use super::{AccessToken, DEFAULT_LIFETIME, ExchangeFor, MAX_TOKEN, Provider, ProviderError};
use crate::clock::now;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// RFC 8693 §2.2.1.
#[derive(Deserialize)]
struct Exchanged {
    access_token: String,
    issued_token_type: String,
    token_type: String,
    expires_in: Option<u64>,
    scope: Option<String>,
}

impl Provider {
    /// Exchanges the login's access token for one of a target.
    pub(crate) async fn exchange(
        &self,
        subject_token: &str,
        target: &ExchangeFor,
    ) -> Result<AccessToken, ProviderError> {
        let endpoint = self.token_endpoint().await?;
        let mut form = vec![
            ("grant_type", GRANT_TYPE),
            ("subject_token", subject_token),
            ("subject_token_type", ACCESS_TOKEN),
        ];
        let parameters = [
            ("audience", &target.audience),
            ("resource", &target.resource),
            ("scope", &target.scope),
        ];
        form.extend(
            parameters
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.as_deref()?))),
        );
        let asked = now();
        let mut token = read(&self.post(endpoint, form).await?, asked)?;
        // RFC 8693 §2.2.1: left out, it is what was asked for.
        token.scope = token.scope.or_else(|| target.scope.clone());
        Ok(token)
    }
}

fn read(answer: &HttpResponse, asked: UnixSeconds) -> Result<AccessToken, ProviderError> {
    answered::<Exchanged>(answer)?.checked(asked)
}

impl Exchanged {
    /// A device shows its token as `Bearer`: what cannot be used so is no token for it.
    fn checked(self, asked: UnixSeconds) -> Result<AccessToken, ProviderError> {
        let lifetime = self.expires_in.unwrap_or(DEFAULT_LIFETIME);
        let problem = match () {
            () if self.access_token.is_empty() => "its exchanged token is empty",
            () if self.access_token.len() > MAX_TOKEN => "its token is too long",
            () if !self.token_type.eq_ignore_ascii_case("bearer") => "its exchanged token is no bearer token",
            () if ![ACCESS_TOKEN, JWT].contains(&&*self.issued_token_type) => {
                "its exchanged token is no access token"
            }
            () if lifetime == 0 => "its exchanged token has ended already",
            () => {
                return Ok(AccessToken {
                    text: Zeroizing::new(self.access_token),
                    expires_at: asked.plus(lifetime).seconds(),
                    scope: self.scope.and_then(usable_scope),
                    issued_type: Some(self.issued_token_type),
                });
            }
        };
        Err(ProviderError::Nonsense(problem))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);

    fn answer(status: u16, body: &Value) -> Result<AccessToken, ProviderError> {
        let mut response = HttpResponse::new(body.to_string().into_bytes());
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        read(&response, NOW)
    }

    fn good() -> Value {
        json!({ "access_token": "a.b", "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 60 })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut answer = good();
        answer[name] = value;
        answer
    }

    #[test]
    fn d_041_a_good_answer_is_a_token() {
        let token = answer(200, &with("scope", json!("api:read"))).unwrap();
        assert_eq!((&**token.text, token.scope.as_deref()), ("a.b", Some("api:read")));
        assert_eq!(token.issued_type.as_deref(), Some(ACCESS_TOKEN));
        assert_eq!(token.expires_at, NOW.plus(60).seconds());
        for fine in [
            with("issued_token_type", json!(JWT)),
            with("token_type", json!("bearer")),
        ] {
            assert!(answer(200, &fine).is_ok(), "{fine}");
        }
        let mut unsaid = good();
        unsaid.as_object_mut().unwrap().remove("expires_in");
        let token = answer(200, &unsaid).unwrap();
        assert_eq!(
            token.expires_at,
            NOW.plus(DEFAULT_LIFETIME).seconds(),
            "not for ever"
        );
    }

    #[test]
    fn d_041_an_answer_that_no_device_could_use_is_nonsense() {
        for (name, value) in [
            ("access_token", json!("")),
            ("access_token", json!(7)),
            ("access_token", json!("x".repeat(MAX_TOKEN + 1))),
            (
                "issued_token_type",
                json!("urn:ietf:params:oauth:token-type:saml2"),
            ),
            ("issued_token_type", Value::Null),
            ("token_type", json!("N_A")),
            ("token_type", json!("DPoP")),
            ("token_type", Value::Null),
            ("expires_in", json!(0)),
            ("expires_in", json!(-1)),
            ("expires_in", json!("60")),
        ] {
            let error = answer(200, &with(name, value)).err();
            assert!(
                matches!(error, Some(ProviderError::Nonsense(_))),
                "{name}: {error:?}"
            );
        }
        assert!(matches!(answer(200, &json!([])), Err(ProviderError::Nonsense(_))));
    }

    #[test]
    fn d_042_the_providers_word_passes_through_and_its_trouble_is_told_as_such() {
        let code = |status, error: &str| answer(status, &json!({ "error": error })).err().unwrap();
        assert_eq!(code(400, "invalid_target").code(), "invalid_target");
        assert_eq!(code(401, "invalid_client").code(), "invalid_client");
        assert_eq!(code(400, "own \u{1b}[31mword").code(), "own[31mword");
        assert_eq!(code(400, "server_error").code(), "temporarily_unavailable");
        assert_eq!(answer(403, &json!("no")).err().unwrap().code(), "server_error");
    }
}

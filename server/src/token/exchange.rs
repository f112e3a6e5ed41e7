//! The login's access token for one that another audience takes (RFC 8693).

use openidconnect::HttpResponse;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::provider::{code_of, refused};
use super::{AccessToken, DEFAULT_LIFETIME, ExchangeFor, MAX_SCOPE, MAX_TOKEN, Provider, ProviderError};
use crate::app::now;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

const NO_ENDPOINT: ProviderError = ProviderError::Nonsense("it has no token endpoint");
const UNREADABLE: ProviderError = ProviderError::Nonsense("its token response cannot be read");

/// RFC 8693 §2.2.1.
#[derive(Deserialize)]
struct Exchanged {
    access_token: String,
    issued_token_type: String,
    token_type: String,
    expires_in: Option<u64>,
    scope: Option<String>,
}

/// RFC 6749 §5.2.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Provider {
    /// Exchanges the login's access token for one of a target.
    pub(crate) async fn exchange(
        &self,
        subject_token: &str,
        target: &ExchangeFor,
    ) -> Result<AccessToken, ProviderError> {
        let metadata = self.metadata(false).await?;
        let endpoint = metadata.token_endpoint().ok_or(NO_ENDPOINT)?.url().clone();
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
        read(&self.post(endpoint, form).await?)
    }
}

fn read(answer: &HttpResponse) -> Result<AccessToken, ProviderError> {
    if !answer.status().is_success() {
        let refusal: Refusal = serde_json::from_slice(answer.body()).map_err(|_| UNREADABLE)?;
        return Err(refused(code_of(&refusal.error)));
    }
    let exchanged: Exchanged = serde_json::from_slice(answer.body()).map_err(|_| UNREADABLE)?;
    exchanged.checked()
}

impl Exchanged {
    /// A device shows its token as `Bearer`: what cannot be used so is no token for it.
    fn checked(self) -> Result<AccessToken, ProviderError> {
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
                    expires_at: now().plus(lifetime).seconds(),
                    scope: self.scope.filter(|scope| scope.len() <= MAX_SCOPE),
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

    fn answered(status: u16, body: &Value) -> Result<AccessToken, ProviderError> {
        let mut answer = HttpResponse::new(body.to_string().into_bytes());
        *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
        read(&answer)
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
        let before = now();
        let token = answered(200, &with("scope", json!("api:read"))).unwrap();
        assert_eq!((&**token.text, token.scope.as_deref()), ("a.b", Some("api:read")));
        assert_eq!(token.issued_type.as_deref(), Some(ACCESS_TOKEN));
        assert!((before.plus(60)..=now().plus(60)).contains(&store::UnixSeconds::new(token.expires_at)));
        for fine in [
            with("issued_token_type", json!(JWT)),
            with("token_type", json!("bearer")),
        ] {
            assert!(answered(200, &fine).is_ok(), "{fine}");
        }
        let mut unsaid = good();
        unsaid.as_object_mut().unwrap().remove("expires_in");
        let token = answered(200, &unsaid).unwrap();
        assert!(
            token.expires_at <= now().plus(DEFAULT_LIFETIME).seconds(),
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
            let error = answered(200, &with(name, value)).err();
            assert!(
                matches!(error, Some(ProviderError::Nonsense(_))),
                "{name}: {error:?}"
            );
        }
        assert!(matches!(
            answered(200, &json!([])),
            Err(ProviderError::Nonsense(_))
        ));
    }

    #[test]
    fn d_042_the_providers_word_passes_through_and_its_trouble_is_told_as_such() {
        let code = |status, error: &str| answered(status, &json!({ "error": error })).err().unwrap();
        assert_eq!(code(400, "invalid_target").code(), "invalid_target");
        assert_eq!(code(401, "invalid_client").code(), "invalid_client");
        assert_eq!(code(400, "own \u{1b}[31mword").code(), "own[31mword");
        assert_eq!(code(400, "server_error").code(), "temporarily_unavailable");
        assert_eq!(answered(403, &json!("no")).err().unwrap().code(), "server_error");
    }
}

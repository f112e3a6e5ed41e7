//! The login's access token for one that another audience takes (RFC 8693).

use store::UnixSeconds;

use super::response::Response;
use super::{AccessToken, ExchangeFor, Provider, ProviderError};
use crate::clock::now;
use crate::outgoing::Answer;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

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

fn read(answer: &Answer, asked: UnixSeconds) -> Result<AccessToken, ProviderError> {
    let mut response = Response::read(answer)?;
    let issued_type = response.issued_token_type.take();
    let mut token = response.checked(asked)?;
    if ![Some(ACCESS_TOKEN), Some(JWT)].contains(&issued_type.as_deref()) {
        return Err(ProviderError::Nonsense("its exchanged token is no access token"));
    }
    token.issued_type = issued_type;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::response::{DEFAULT_LIFETIME, MAX_TOKEN};
    use super::*;

    const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);

    fn answer(status: u16, body: &Value) -> Result<AccessToken, ProviderError> {
        let mut response = Answer::new(body.to_string().into_bytes());
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

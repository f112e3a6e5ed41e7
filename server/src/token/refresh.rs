//! A refresh token for a fresh access token (RFC 6749 §6). The one before may be spent by now: whatever else is wrong
//! with an answer, its refresh token counts.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use store::UnixSeconds;
use zeroize::Zeroizing;

use super::provider::{answered, usable_scope};
use super::{AccessToken, DEFAULT_LIFETIME, Grant, MAX_TOKEN, Provider, ProviderError};
use crate::clock::now;

/// RFC 6749 §5.1, as far as it can be read.
#[derive(Deserialize)]
struct Answer {
    #[serde(default, deserialize_with = "odd_is_none")]
    access_token: Option<String>,
    #[serde(default, deserialize_with = "odd_is_none")]
    token_type: Option<String>,
    expires_in: Option<Value>,
    #[serde(default, deserialize_with = "odd_is_none")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "odd_is_none")]
    refresh_token: Option<String>,
    /// Some providers' own: seconds for which the refresh token is good; 0: nobody knows.
    #[serde(default, deserialize_with = "odd_is_none")]
    refresh_expires_in: Option<u64>,
    id_token: Option<Value>,
}

/// What is not of the expected type says nothing.
fn odd_is_none<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}

/// What a refresh gave.
pub(crate) struct Refreshed {
    access: Result<AccessToken, ProviderError>,
    refresh_token: Option<Zeroizing<String>>,
    /// Unix seconds.
    refresh_ends: Option<u64>,
}

impl Provider {
    /// Asks for new tokens. A provider that rotates gives a new refresh token with them, and the old one is spent from
    /// then on. `subject` is the `sub` of the login, if it is known.
    pub(crate) async fn refresh(
        &self,
        refresh_token: &str,
        subject: Option<&str>,
    ) -> Result<Refreshed, ProviderError> {
        let endpoint = self.token_endpoint().await?;
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        form.extend(self.resource().map(|resource| ("resource", resource)));
        let asked = now();
        let answer: Answer = answered(&self.post(endpoint, form).await?)?;
        answer.read(asked, (self.issuer(), subject))
    }
}

impl Refreshed {
    /// Returns the grant that goes on from the old one, and what is wrong with it: then the access token is the old one.
    /// What the provider leaves out is as it was (RFC 6749 §5.1, §6).
    pub(crate) fn after(self, old: Grant) -> (Grant, Result<(), ProviderError>) {
        let is_rotated = self.refresh_token.is_some();
        let (access, is_good) = match self.access {
            Ok(mut access) => {
                access.scope = access.scope.or(old.access.scope);
                (access, Ok(()))
            }
            Err(error) => (old.access, Err(error)),
        };
        let old_ends = old.refresh_ends.filter(|_| !is_rotated);
        let grant = Grant {
            access,
            refresh_token: self.refresh_token.or(old.refresh_token),
            refresh_ends: self.refresh_ends.or(old_ends),
            subject: old.subject,
        };
        (grant, is_good)
    }
}

impl Answer {
    fn read(mut self, asked: UnixSeconds, login: (&str, Option<&str>)) -> Result<Refreshed, ProviderError> {
        let refresh_token = self.refresh_token.take().map(Zeroizing::new);
        if refresh_token
            .as_ref()
            .is_some_and(|token| token.len() > MAX_TOKEN)
        {
            return Err(ProviderError::Nonsense("its token is too long"));
        }
        let ends = self.refresh_expires_in.filter(|seconds| *seconds > 0);
        Ok(Refreshed {
            refresh_token,
            refresh_ends: ends.map(|seconds| asked.plus(seconds).seconds()),
            access: self.access(asked, login),
        })
    }

    fn access(self, asked: UnixSeconds, login: (&str, Option<&str>)) -> Result<AccessToken, ProviderError> {
        let text = Zeroizing::new(self.access_token.unwrap_or_default());
        let lifetime = self
            .expires_in
            .map_or(Some(DEFAULT_LIFETIME), |said| said.as_u64());
        let is_bearer = |kind: String| kind.eq_ignore_ascii_case("bearer");
        let problem = match () {
            () if text.is_empty() => "it gave no access token",
            () if text.len() > MAX_TOKEN => "its token is too long",
            () if !self.token_type.is_some_and(is_bearer) => "its token is no bearer token",
            () if lifetime.unwrap_or(0) == 0 => "its token has ended already",
            () if !self.id_token.is_none_or(|token| is_of(&token, login)) => {
                "its id_token is of another login"
            }
            () => {
                return Ok(AccessToken {
                    text,
                    expires_at: asked.plus(lifetime.unwrap_or_default()).seconds(),
                    scope: self.scope.and_then(usable_scope),
                    issued_type: None,
                });
            }
        };
        Err(ProviderError::Nonsense(problem))
    }
}

/// OpenID Connect Core §12.2: an id_token that comes with a refresh has the `iss` and `sub` of the login. It came over
/// TLS from the token endpoint, which stands for its signature (§3.1.3.7).
fn is_of(id_token: &Value, (issuer, subject): (&str, Option<&str>)) -> bool {
    let claims = || {
        let payload = id_token.as_str()?.split('.').nth(1)?;
        serde_json::from_slice::<Value>(&Base64UrlUnpadded::decode_vec(payload).ok()?).ok()
    };
    claims().is_some_and(|claims| {
        claims["iss"] == issuer && subject.is_none_or(|subject| claims["sub"] == subject)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://id.example";
    const ASKED: UnixSeconds = UnixSeconds::new(1_000);

    fn old() -> Grant {
        Grant {
            access: AccessToken {
                text: Zeroizing::new("old".into()),
                expires_at: 1_100,
                scope: Some("openid".into()),
                issued_type: None,
            },
            refresh_token: Some(Zeroizing::new("spent".into())),
            refresh_ends: Some(5_000),
            subject: Some("alice".into()),
        }
    }

    fn id_token(issuer: &str, subject: &str) -> Value {
        let claims = json!({ "iss": issuer, "sub": subject }).to_string();
        format!("e30.{}.x", Base64UrlUnpadded::encode_string(claims.as_bytes())).into()
    }

    /// A good answer with one difference.
    fn after(name: &str, value: Value) -> (Grant, Result<(), ProviderError>) {
        let mut answer = json!({
            "access_token": "new", "token_type": "Bearer", "expires_in": 600, "refresh_token": "next",
            "id_token": id_token(ISSUER, "alice"),
        });
        answer[name] = value;
        let answer: Answer = serde_json::from_value(answer).unwrap();
        let refreshed = answer.read(ASKED, (ISSUER, Some("alice"))).unwrap();
        refreshed.after(old())
    }

    #[test]
    fn d_043_what_an_answer_leaves_out_is_as_it_was() {
        let (grant, is_good) = after("scope", Value::Null);
        assert!(is_good.is_ok());
        assert_eq!((&**grant.access.text, grant.access.expires_at), ("new", 1_600));
        assert_eq!(grant.access.scope.as_deref(), Some("openid"));
        assert_eq!(&**grant.refresh_token.unwrap(), "next");
        assert_eq!(grant.refresh_ends, None, "nobody knows when the new one ends");
        let (grant, _) = after("refresh_token", Value::Null);
        assert_eq!(
            (&**grant.refresh_token.unwrap(), grant.refresh_ends),
            ("spent", Some(5_000))
        );
        assert_eq!(
            after("scope", json!("api")).0.access.scope.as_deref(),
            Some("api")
        );
    }

    #[test]
    fn d_043_a_new_refresh_token_is_kept_whatever_else_is_wrong() {
        for (name, value) in [
            ("access_token", Value::Null),
            ("access_token", json!("x".repeat(MAX_TOKEN + 1))),
            ("token_type", json!("DPoP")),
            ("token_type", json!(7)),
            ("expires_in", json!(0)),
            ("expires_in", json!("soon")),
            ("id_token", json!("not.a.jwt")),
            ("id_token", json!(7)),
            ("id_token", id_token("https://elsewhere.example", "alice")),
            ("id_token", id_token(ISSUER, "bob")),
        ] {
            let (grant, is_good) = after(name, value.clone());
            assert!(
                matches!(is_good, Err(ProviderError::Nonsense(_))),
                "{name}: {value}"
            );
            assert_eq!(
                (&**grant.access.text, &**grant.refresh_token.unwrap()),
                ("old", "next")
            );
        }
        for (name, value) in [
            ("refresh_expires_in", json!(-1)),
            ("scope", json!(7)),
            ("id_token", Value::Null),
        ] {
            assert!(after(name, value).1.is_ok(), "{name}");
        }
    }
}

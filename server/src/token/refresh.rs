//! A refresh token for a new access token (RFC 6749 §6). A provider may give a new refresh token too, and then the old one
//! is spent: whatever else is wrong with the response, its refresh token is kept, unless it is too long to be sealed.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::Value;
use store::UnixSeconds;

use super::response::{RefreshToken, Response};
use super::{AccessToken, Grant, Provider, ProviderError};
use crate::clock::now;

/// What a refresh gave.
pub(crate) struct Refreshed {
    access: Result<AccessToken, ProviderError>,
    refresh_token: Option<RefreshToken>,
}

/// The login that is refreshed.
struct Login<'a> {
    issuer: &'a str,
    /// Its `sub`, if it is known.
    subject: Option<&'a str>,
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
        let response = Response::read(&self.post(endpoint, form).await?)?;
        let issuer = self.issuer();
        read(response, asked, &Login { issuer, subject })
    }
}

impl Refreshed {
    /// Returns the grant that goes on from the old one, and what is wrong with it: then the access token is the old one.
    /// What the provider leaves out is as it was (RFC 6749 §5.1, §6).
    pub(crate) fn after(self, old: Grant) -> (Grant, Result<(), ProviderError>) {
        let (access, is_good) = match self.access {
            Ok(mut access) => {
                access.scope = access.scope.or(old.access.scope);
                (access, Ok(()))
            }
            Err(error) => (old.access, Err(error)),
        };
        let (refresh_token, refresh_ends) = match self.refresh_token {
            Some(new) => (Some(new.text), new.ends),
            None => (old.refresh_token, old.refresh_ends),
        };
        let grant = Grant {
            access,
            refresh_token,
            refresh_ends,
            subject: old.subject,
        };
        (grant, is_good)
    }
}

fn read(mut response: Response, asked: UnixSeconds, login: &Login<'_>) -> Result<Refreshed, ProviderError> {
    let refresh_token = response.take_refresh_token(asked)?;
    let id_token = response.id_token.take();
    let mut access = response.checked(asked);
    if !id_token.is_none_or(|token| login.has(&token)) {
        access = Err(ProviderError::Nonsense("its id_token is of another login"));
    }
    Ok(Refreshed {
        access,
        refresh_token,
    })
}

impl Login<'_> {
    /// OpenID Connect Core §12.2: an id_token that comes with a refresh has the `iss` and `sub` of the login. It came
    /// over TLS from the token endpoint, which stands for its signature (§3.1.3.7).
    fn has(&self, id_token: &Value) -> bool {
        claims(id_token).is_some_and(|claims| {
            let is_its_subject = self.subject.is_none_or(|subject| claims["sub"] == subject);
            claims["iss"] == self.issuer && is_its_subject
        })
    }
}

fn claims(id_token: &Value) -> Option<Value> {
    let payload = id_token.as_str()?.split('.').nth(1)?;
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zeroize::Zeroizing;

    use super::super::response::MAX_TOKEN;
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
        let login = Login {
            issuer: ISSUER,
            subject: Some("alice"),
        };
        let refreshed = read(serde_json::from_value(answer).unwrap(), ASKED, &login).unwrap();
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

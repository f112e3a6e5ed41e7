//! `login_hint_token`: a JWT in which another party, which the operator trusts, names the person (CIBA Core §7.1).

use serde_json::Value;

use url::Url;

use crate::config::{self, LoginToken};
use crate::oauth::jwt::{Claims, ClientKeys, Jws, KeySet, KeySetError, KeysOf};
use crate::refusal::Refusal;
use crate::users::Wanted;

/// Bytes of a hint.
const MAX_HINT: usize = 16 * 1024;

/// Characters of an opaque hint, as of a `login_hint` (C-181).
const MAX_OPAQUE: usize = 1024;

const BAD_TOKEN: Refusal =
    Refusal::invalid_request("the login_hint_token is not a token of a known issuer for this server");
const BAD_SUBJECT: Refusal =
    Refusal::invalid_request("the login_hint_token names no person in a way that is known here");
const TOO_LONG: Refusal = Refusal::invalid_request("the login_hint_token is too long");
const EXPIRED: Refusal = Refusal::expired_login_hint_token();

/// Reads hints that are tokens of others.
pub(crate) enum LoginTokenHints {
    /// JWTs of these issuers (C-182).
    Jwt(Jwt),
    /// Any text, looked up like a `login_hint` (C-183).
    Opaque,
}

/// What is needed to judge a JWT.
pub(crate) struct Jwt {
    /// Our issuer, which has to be in `aud`.
    audience: String,
    issuers: Vec<Issuer>,
    /// By how much clocks may differ, seconds.
    tolerance: u64,
}

/// A party that may name people to us.
struct Issuer {
    /// Its `iss`.
    name: String,
    keys: IssuerKeys,
}

enum IssuerKeys {
    Set(KeySet),
    At(Url),
}

impl LoginTokenHints {
    /// Prepares what is configured; `audience` is our issuer.
    ///
    /// # Errors
    ///
    /// A configured key set is none.
    pub(crate) fn new(config: &LoginToken, audience: &str, tolerance: u64) -> Result<Self, KeySetError> {
        let LoginToken::Jwt(issuers) = config else {
            return Ok(Self::Opaque);
        };
        let issuer = |issuer: &config::HintIssuer| {
            let keys = match &issuer.keys {
                config::IssuerKeys::Set(text) => IssuerKeys::Set(KeySet::read(text)?),
                config::IssuerKeys::At(uri) => IssuerKeys::At(uri.clone()),
            };
            let name = issuer.issuer.clone();
            Ok(Issuer { name, keys })
        };
        Ok(Self::Jwt(Jwt {
            audience: audience.to_owned(),
            issuers: issuers.iter().map(issuer).collect::<Result<_, _>>()?,
            tolerance,
        }))
    }

    /// Returns whom the token names.
    pub(crate) async fn wanted(&self, hint: &str, keys: &ClientKeys, now: u64) -> Result<Wanted, Refusal> {
        match self {
            Self::Opaque if hint.chars().count() > MAX_OPAQUE => Err(TOO_LONG),
            Self::Opaque => Ok(Wanted::Any(hint.to_owned())),
            Self::Jwt(jwt) => jwt.wanted(hint, keys, now).await,
        }
    }
}

impl Jwt {
    async fn wanted(&self, hint: &str, keys: &ClientKeys, now: u64) -> Result<Wanted, Refusal> {
        let claims = self.claims(hint, keys).await.ok_or(BAD_TOKEN)?;
        if !claims.is_for(&[&self.audience]) {
            return Err(BAD_TOKEN);
        }
        let times = claims.times().map_err(|_| BAD_TOKEN)?;
        let expires = times.expires.ok_or(BAD_TOKEN)?;
        if !times.have_begun(now, self.tolerance) {
            return Err(BAD_TOKEN);
        }
        if expires.saturating_add(self.tolerance) <= now {
            return Err(EXPIRED);
        }
        subject(&claims, &self.audience).ok_or(BAD_SUBJECT)
    }

    /// Returns the claims if the issuer that they name signed them.
    async fn claims(&self, hint: &str, keys: &ClientKeys) -> Option<Claims> {
        let token = Jws::read(hint, MAX_HINT)?;
        let alg = token.alg()?;
        let claimed = token.unverified_claims()?;
        let claimed = claimed.text("iss")?;
        let issuer = self.issuers.iter().find(|issuer| issuer.name == claimed)?;
        let keys_of = match &issuer.keys {
            IssuerKeys::Set(set) => KeysOf::Set(set),
            // A client of the same name has another URL, and so other keys.
            IssuerKeys::At(uri) => KeysOf::At(claimed, uri),
        };
        keys.claims(keys_of, &token, alg).await
    }
}

/// Returns whom `sub_id` (RFC 9493 §3) or else `sub` names.
fn subject(claims: &Claims, audience: &str) -> Option<Wanted> {
    let Some(identifier) = claims.get("sub_id") else {
        return claims.text("sub").map(|sub| Wanted::Subject(sub.to_owned()));
    };
    let text = |name: &str| {
        let text = identifier.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    match identifier.get("format")?.as_str()? {
        "email" => text("email").map(Wanted::Email),
        "phone_number" => text("phone_number").map(Wanted::Phone),
        "opaque" => text("id").map(Wanted::Any),
        // A subject of another issuer is none of ours.
        "iss_sub" if text("iss")? == audience => text("sub").map(Wanted::Subject),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oauth::alg::Alg;
    use crate::oauth::jwt::signer::Signer;
    use crate::oauth::jwt::tests::inline_keys;

    const NOW: u64 = 1_000_000;

    fn hints(issuers: &[(&str, &Signer)]) -> LoginTokenHints {
        let issuers = issuers.iter().map(|(issuer, signer)| config::HintIssuer {
            issuer: (*issuer).to_owned(),
            keys: config::IssuerKeys::Set(signer.set().to_string().into_bytes()),
        });
        let config = LoginToken::Jwt(issuers.collect());
        LoginTokenHints::new(&config, "https://us", 30).unwrap()
    }

    fn good() -> Value {
        json!({ "iss": "https://hr", "aud": "https://us", "exp": NOW + 60, "sub": "alice" })
    }

    async fn wanted(hints: &LoginTokenHints, hint: &str) -> Result<Wanted, Refusal> {
        hints.wanted(hint, inline_keys(), NOW).await
    }

    #[tokio::test]
    async fn c_182_the_person_is_named_in_one_of_these_ways() {
        let signer = Signer::new(Alg::ES256, "1");
        let hints = hints(&[("https://hr", &signer)]);
        for (claim, value, expected) in [
            ("sub", json!("bob"), Some(Wanted::Subject("bob".into()))),
            (
                "sub_id",
                json!({ "format": "email", "email": "a@b" }),
                Some(Wanted::Email("a@b".into())),
            ),
            (
                "sub_id",
                json!({ "format": "phone_number", "phone_number": "+1" }),
                Some(Wanted::Phone("+1".into())),
            ),
            (
                "sub_id",
                json!({ "format": "opaque", "id": "x" }),
                Some(Wanted::Any("x".into())),
            ),
            (
                "sub_id",
                json!({ "format": "iss_sub", "iss": "https://us", "sub": "s" }),
                Some(Wanted::Subject("s".into())),
            ),
            (
                "sub_id",
                json!({ "format": "iss_sub", "iss": "https://hr", "sub": "s" }),
                None,
            ),
            ("sub_id", json!({ "format": "email" }), None),
            ("sub_id", json!({ "format": "email", "email": "" }), None),
            ("sub_id", json!({ "format": "did", "url": "x" }), None),
            ("sub_id", json!("alice"), None),
            ("sub_id", json!(null), None),
            ("sub", json!(""), None),
        ] {
            let mut claims = good();
            claims[claim] = value.clone();
            let expected = expected.ok_or(BAD_SUBJECT);
            assert_eq!(wanted(&hints, &signer.sign(&claims)).await, expected, "{value}");
        }
    }

    #[tokio::test]
    async fn c_182_a_token_that_is_not_its_issuers_or_not_for_us_is_refused() {
        let [signer, other] = [Signer::new(Alg::ES256, "1"), Signer::new(Alg::ES256, "1")];
        let hints = hints(&[("https://hr", &signer), ("https://crm", &other)]);
        for (name, value, expected) in [
            ("iss", json!("https://crm"), Err(BAD_TOKEN)),
            ("iss", json!("https://nobody"), Err(BAD_TOKEN)),
            ("iss", json!(null), Err(BAD_TOKEN)),
            ("aud", json!("https://them"), Err(BAD_TOKEN)),
            ("aud", json!(["https://them", "https://us"]), Ok(())),
            ("exp", json!(null), Err(BAD_TOKEN)),
            ("exp", json!(NOW - 29), Ok(())),
            ("exp", json!(NOW - 30), Err(EXPIRED)),
            ("nbf", json!(NOW + 31), Err(BAD_TOKEN)),
        ] {
            let mut claims = good();
            claims[name] = value.clone();
            let judged = wanted(&hints, &signer.sign(&claims)).await;
            assert_eq!(judged.map(drop), expected, "{name}: {value}");
        }
        let set = signer.set().to_string();
        for hint in [
            other.sign(&good()),
            Signer::hmac(set.as_bytes()).sign(&good()),
            String::new(),
            "alice".into(),
            format!("{}.x.y", signer.sign(&good())),
        ] {
            assert_eq!(wanted(&hints, &hint).await, Err(BAD_TOKEN), "{hint}");
        }
        let mut expired = good();
        expired["exp"] = json!(1);
        assert_eq!(
            wanted(&hints, &other.sign(&expired)).await,
            Err(BAD_TOKEN),
            "forged first"
        );
    }

    #[tokio::test]
    async fn c_183_an_opaque_hint_is_looked_up_as_it_is() {
        let hints = LoginTokenHints::Opaque;
        assert_eq!(wanted(&hints, "a.b.c").await, Ok(Wanted::Any("a.b.c".into())));
        assert!(wanted(&hints, &"ä".repeat(MAX_OPAQUE)).await.is_ok());
        assert_eq!(wanted(&hints, &"ä".repeat(MAX_OPAQUE + 1)).await, Err(TOO_LONG));
    }
}

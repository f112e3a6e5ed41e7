//! `id_token_hint`: an ID Token of ours that the client got earlier names the person (CIBA Core §7.1).

use std::sync::Arc;

use zeroize::Zeroizing;

use jsonwebtoken::Algorithm;

use crate::oauth::jwt::{Claims, Jws};
use crate::oauth::keys::Keys;
use crate::refusal::Refusal;
use crate::users::Wanted;

/// Bytes of an ID Token.
const MAX_HINT: usize = 16 * 1024;

/// `typ` of an ID Token.
const TYPE: &str = "JWT";

const UNSIGNED: Refusal = Refusal::invalid_request("the id_token_hint is not a token of this server");
const BAD_CLAIMS: Refusal =
    Refusal::invalid_request("the id_token_hint is not about a login of this client at this server");
const TOO_OLD: Refusal = Refusal::invalid_request("the id_token_hint expired too long ago");

/// Reads hints that are ID Tokens.
pub(crate) struct IdTokenHints {
    keys: Arc<Keys>,
    rules: IdTokenRules,
}

/// By which rules a hint is judged.
pub(crate) struct IdTokenRules {
    /// Our issuer.
    pub(crate) issuer: String,
    /// For hints that are signed with HS256; at least 32 bytes. `None`: there are none (C-188).
    pub(crate) secret: Option<Zeroizing<String>>,
    /// How long after its end a token still is a hint, seconds (C-189).
    pub(crate) age: u64,
    /// By how much clocks may differ, seconds.
    pub(crate) tolerance: u64,
}

impl IdTokenHints {
    pub(crate) fn new(keys: Arc<Keys>, rules: IdTokenRules) -> Self {
        Self { keys, rules }
    }

    /// Returns whom the token is about, if this client may ask with it.
    pub(crate) fn wanted(&self, hint: &str, client_id: &str, now: u64) -> Result<Wanted, Refusal> {
        let claims = self.claims(hint).ok_or(UNSIGNED)?;
        self.judge(&claims, client_id, now)?;
        let sub = claims.text("sub").ok_or(BAD_CLAIMS)?;
        Ok(Wanted::Subject(sub.to_owned()))
    }

    /// The header alone says which kind of key is tried: a public key is never a secret (C-188).
    fn claims(&self, hint: &str) -> Option<Claims> {
        let token = Jws::read(hint, MAX_HINT)?;
        if token.algorithm() != Algorithm::HS256 {
            return self.keys.verify(TYPE, hint);
        }
        let is_id_token = token.typ().is_none_or(|typ| typ.eq_ignore_ascii_case(TYPE));
        let secret = self.rules.secret.as_ref().filter(|_| is_id_token)?;
        token.claims_authenticated_with(secret.as_bytes())
    }

    /// Checks what the claims say (C-186, C-189).
    fn judge(&self, claims: &Claims, client_id: &str, now: u64) -> Result<(), Refusal> {
        let IdTokenRules {
            issuer,
            age,
            tolerance,
            ..
        } = &self.rules;
        let is_party = claims
            .get("azp")
            .is_none_or(|azp| azp.as_str() == Some(client_id));
        if claims.text("iss") != Some(issuer) || !claims.is_for(&[client_id]) || !is_party {
            return Err(BAD_CLAIMS);
        }
        let times = claims.times().map_err(|_| BAD_CLAIMS)?;
        if times.issued_at.is_none() || !times.have_begun(now, *tolerance) {
            return Err(BAD_CLAIMS);
        }
        let expires = times.expires.ok_or(BAD_CLAIMS)?;
        let end = expires.saturating_add(*age).saturating_add(*tolerance);
        (end > now).then_some(()).ok_or(TOO_OLD)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::oauth::alg::Alg;
    use crate::oauth::jwt::signer::Signer;
    use crate::oauth::keys::{self, Signs};

    const NOW: u64 = 10_000_000;
    const DAY: u64 = 86_400;
    const SECRET: &str = "a secret of thirty-two bytes, ok";

    fn rules(secret: Option<&str>) -> IdTokenRules {
        IdTokenRules {
            issuer: "https://us".into(),
            secret: secret.map(|secret| secret.to_owned().into()),
            age: 30 * DAY,
            tolerance: 30,
        }
    }

    fn hints(secret: Option<&str>) -> IdTokenHints {
        let keys = Keys::open(None, 0).unwrap();
        IdTokenHints::new(Arc::new(keys), rules(secret))
    }

    fn good() -> Value {
        json!({ "iss": "https://us", "sub": "alice", "aud": "c", "iat": NOW, "exp": NOW + 600 })
    }

    #[test]
    fn c_185_a_token_of_ours_names_its_person_whatever_signed_it() {
        let hints = hints(None);
        for alg in Alg::ALL {
            let hint = hints.keys.sign(alg, TYPE, &good()).unwrap();
            assert_eq!(
                hints.wanted(&hint, "c", NOW),
                Ok(Wanted::Subject("alice".into())),
                "{alg}"
            );
        }
    }

    #[test]
    fn c_185_another_key_type_or_form_is_refused() {
        let hints = hints(Some(SECRET));
        let own = hints.keys.sign(Alg::RS256, TYPE, &good()).unwrap();
        let kid = jsonwebtoken::decode_header(&own).unwrap().kid.unwrap();
        let payload = own.split('.').nth(1).unwrap();
        let public = hints.keys.public();
        let set: Value = serde_json::from_slice(&public).unwrap();
        let modulus = set["keys"][0]["n"].as_str().unwrap();
        let as_secret = |secret: &[u8]| {
            Signer::hmac(secret)
                .with_header(|header| header.kid = Some(kid.clone()))
                .sign(&good())
        };
        for (what, hint) in [
            (
                "a stranger's key of our kid",
                Signer::new(Alg::RS256, &kid).sign(&good()),
            ),
            ("no kid", Signer::new(Alg::RS256, "").without_kid().sign(&good())),
            (
                "an access token",
                hints.keys.sign(Alg::RS256, "at+jwt", &good()).unwrap(),
            ),
            ("none", format!("eyJhbGciOiJub25lIn0.{payload}.")),
            ("five parts", format!("{own}.x.y")),
            ("a modulus as a secret", as_secret(modulus.as_bytes())),
            ("the key set as a secret", as_secret(&public)),
            ("an HS256 header on our signature", {
                let signature = own.rsplit('.').next().unwrap();
                format!("eyJhbGciOiJIUzI1NiJ9.{payload}.{signature}")
            }),
            ("nothing", String::new()),
            (
                "too long",
                hints
                    .keys
                    .sign(Alg::ES256, TYPE, &json!({ "x": "x".repeat(MAX_HINT) }))
                    .unwrap(),
            ),
        ] {
            assert_eq!(hints.wanted(&hint, "c", NOW), Err(UNSIGNED), "{what}");
        }
    }

    #[test]
    fn c_186_c_189_the_claims_fit_the_client_and_the_time() {
        let hints = hints(None);
        for (name, value, expected) in [
            ("iss", json!("https://them"), Err(BAD_CLAIMS)),
            ("aud", json!(["d", "c"]), Ok(())),
            ("aud", json!("d"), Err(BAD_CLAIMS)),
            ("azp", json!("c"), Ok(())),
            ("azp", json!("d"), Err(BAD_CLAIMS)),
            ("azp", json!(null), Err(BAD_CLAIMS)),
            ("sub", json!(""), Err(BAD_CLAIMS)),
            ("sub", json!(1), Err(BAD_CLAIMS)),
            ("iat", json!(NOW + 31), Err(BAD_CLAIMS)),
            ("iat", json!("x"), Err(BAD_CLAIMS)),
            ("exp", json!(NOW - 30 * DAY), Ok(())),
            ("exp", json!(NOW - 30 * DAY - 29), Ok(())),
            ("exp", json!(NOW - 30 * DAY - 30), Err(TOO_OLD)),
        ] {
            let mut claims = good();
            claims[name] = value.clone();
            let hint = hints.keys.sign(Alg::ES256, TYPE, &claims).unwrap();
            assert_eq!(
                hints.wanted(&hint, "c", NOW).map(drop),
                expected,
                "{name}: {value}"
            );
        }
        for name in ["iss", "sub", "aud", "iat", "exp"] {
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(name);
            let hint = hints.keys.sign(Alg::ES256, TYPE, &claims).unwrap();
            assert_eq!(hints.wanted(&hint, "c", NOW), Err(BAD_CLAIMS), "without {name}");
        }
    }

    #[test]
    fn c_188_hs256_needs_the_configured_secret_and_the_same_claims() {
        let with = hints(Some(SECRET));
        let sign = |claims: &Value| Signer::hmac(SECRET.as_bytes()).sign(claims);
        assert_eq!(
            with.wanted(&sign(&good()), "c", NOW),
            Ok(Wanted::Subject("alice".into()))
        );
        assert_eq!(hints(None).wanted(&sign(&good()), "c", NOW), Err(UNSIGNED));
        let other = Signer::hmac(b"another secret of 32 bytes, yes.").sign(&good());
        assert_eq!(with.wanted(&other, "c", NOW), Err(UNSIGNED));
        let longer = Signer::hmac(SECRET.as_bytes())
            .with_header(|header| header.alg = Algorithm::HS512)
            .sign(&good());
        assert_eq!(with.wanted(&longer, "c", NOW), Err(UNSIGNED));
        for (name, value) in [
            ("iss", json!("https://them")),
            ("aud", json!("d")),
            ("sub", json!(null)),
        ] {
            let mut claims = good();
            claims[name] = value;
            assert_eq!(with.wanted(&sign(&claims), "c", NOW), Err(BAD_CLAIMS), "{name}");
        }
    }

    #[test]
    fn c_032_a_hint_of_a_retired_key_is_still_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        keys::make(&path).unwrap();
        let kept = 31 * DAY;
        let keys = Arc::new(Keys::open(Some(&path), kept).unwrap());
        let hint = keys.sign(Alg::PS256, TYPE, &good()).unwrap();
        keys::rotate(&path, kept, Signs::Now).unwrap();
        keys.refresh().unwrap();
        let hints = IdTokenHints::new(keys, rules(None));
        assert!(hints.wanted(&hint, "c", NOW).is_ok());
    }
}

//! Signed authentication requests (CIBA Core §7.1.1): the parameters inside the JWT `request`, once everything about it is
//! good. What the parameters mean is judged afterwards, as if they had come in the open.

use serde_json::Value;
use store::UnixSeconds;

use crate::oauth::alg::Alg;
use crate::oauth::client::Client;
use crate::oauth::jwt::{Claims, ClientKeys, Jws};
use crate::oauth::parameters::Parameters;
use crate::oauth::used::{Kind, Use, Used};
use crate::refusal::Refusal;

/// Bytes of a signed request: `authorization_details` alone may have 16 KiB, a third more in base64url.
const MAX_REQUEST: usize = 48 * 1024;

/// How far ahead a signed request may end, seconds: its `jti` is kept until then (C-168).
const LONGEST: u64 = 24 * 3600;

/// FAPI-CIBA §5.2.2: how long a signed request may last, and how long ago it may have begun, seconds.
const FAPI_LONGEST: u64 = 3600;

/// `typ`, in any case (C-165).
const TYPES: [&str; 2] = ["JWT", "oauth-authz-req+jwt"];

/// What may stand beside `request`: itself, and how the client authenticates (C-166).
const OUTSIDE: [&str; 5] = [
    "request",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
];

/// The claims that are about the JWT and are no parameters.
const ENVELOPE: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

const MUST_SIGN: Refusal =
    Refusal::invalid_request("this client has to send its parameters in a signed request");
const MUST_NOT_SIGN: Refusal = Refusal::invalid_request("this client did not register signed requests");
const BESIDE: Refusal = Refusal::invalid_request("all parameters have to be inside the signed request");
const UNSIGNED: Refusal =
    Refusal::invalid_request("the request is not signed by the client with its registered algorithm");
const BAD_TYPE: Refusal = Refusal::invalid_request("the signed request has another type");
const BAD_ISSUER: Refusal = Refusal::invalid_request("the iss of the signed request is not the client");
const BAD_AUDIENCE: Refusal = Refusal::invalid_request("the aud of the signed request is not this server");
const BAD_TIMES: Refusal =
    Refusal::invalid_request("the signed request needs exp, nbf and iat, and they have to be times of now");
const TOO_LONG: Refusal = Refusal::invalid_request("the signed request lasts for more than 60 minutes");
const TOO_LATE: Refusal = Refusal::invalid_request("the signed request ends more than 24 hours from now");
const BAD_ALG: Refusal = Refusal::invalid_request("the request is signed with neither PS256 nor ES256");
const BAD_JTI: Refusal = Refusal::invalid_request("the signed request has no jti");
const REPLAYED: Refusal = Refusal::invalid_request("the signed request was sent before");
const NESTED: Refusal = Refusal::invalid_request("the signed request has another request inside");
const STORE_AWAY: Refusal = Refusal::unavailable("the store does not answer");

/// By which rules a signed request is judged.
#[derive(Clone, Copy)]
pub(crate) struct SignedRules<'a> {
    /// Our issuer, which has to be in `aud`.
    pub(crate) issuer: &'a str,
    /// By how much the client's clock may differ, seconds.
    pub(crate) tolerance: u64,
    /// FAPI's rules apply too (C-164).
    pub(crate) fapi: bool,
}

/// Returns the parameters inside the signed request; `None`: the client signs none, and its parameters are in the open.
pub(crate) async fn parameters_inside(
    client: &Client,
    outside: &Parameters,
    rules: SignedRules<'_>,
    (keys, used): (&ClientKeys, &Used),
    now: UnixSeconds,
) -> Result<Option<Vec<(String, Value)>>, Refusal> {
    let registered = client.metadata.backchannel_authentication_request_signing_alg;
    let (alg, request) = match (registered, outside.get("request")) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(MUST_NOT_SIGN),
        (Some(_), None) => return Err(MUST_SIGN),
        (Some(alg), Some(request)) => (alg, request),
    };
    if outside.names().any(|name| !OUTSIDE.contains(&name)) {
        return Err(BESIDE);
    }
    let claims = signed_claims(client, request, alg, rules, keys).await?;
    judge(&claims, client, rules, now.seconds())?;
    use_up(&claims, client, rules, used, now).await?;
    let inside = claims.into_inner().into_iter();
    Ok(Some(
        inside
            .filter(|(name, _)| !ENVELOPE.contains(&name.as_str()))
            .collect(),
    ))
}

async fn signed_claims(
    client: &Client,
    request: &str,
    alg: Alg,
    rules: SignedRules<'_>,
    keys: &ClientKeys,
) -> Result<Claims, Refusal> {
    let token = Jws::read(request, MAX_REQUEST).ok_or(UNSIGNED)?;
    if rules.fapi && !matches!(alg, Alg::PS256 | Alg::ES256) {
        return Err(BAD_ALG);
    }
    let is_one = |typ: &str| TYPES.iter().any(|own| own.eq_ignore_ascii_case(typ));
    if !token.typ().is_none_or(is_one) {
        return Err(BAD_TYPE);
    }
    keys.claims_of_client(client, &token, alg).await.ok_or(UNSIGNED)
}

/// Checks what the claims say (C-162 … C-164, C-169).
pub(super) fn judge(
    claims: &Claims,
    client: &Client,
    rules: SignedRules<'_>,
    now: u64,
) -> Result<(), Refusal> {
    if claims.text("iss") != Some(&client.id) {
        return Err(BAD_ISSUER);
    }
    if !claims.is_for(&[rules.issuer]) {
        return Err(BAD_AUDIENCE);
    }
    let times = claims.times().map_err(|_| BAD_TIMES)?;
    let (Some(expires), Some(not_before), Some(_)) = (times.expires, times.not_before, times.issued_at)
    else {
        return Err(BAD_TIMES);
    };
    if expires.saturating_add(rules.tolerance) <= now || !times.have_begun(now, rules.tolerance) {
        return Err(BAD_TIMES);
    }
    if expires > now.saturating_add(LONGEST + rules.tolerance) {
        return Err(TOO_LATE);
    }
    let is_long = expires.saturating_sub(not_before) > FAPI_LONGEST
        || now.saturating_sub(not_before) > FAPI_LONGEST
        || expires.saturating_sub(now) > FAPI_LONGEST;
    if rules.fapi && is_long {
        return Err(TOO_LONG);
    }
    let is_nested = ["request", "request_uri"]
        .iter()
        .any(|name| claims.get(name).is_some());
    if is_nested { Err(NESTED) } else { Ok(()) }
}

/// Takes the `jti`, once (C-168).
async fn use_up(
    claims: &Claims,
    client: &Client,
    rules: SignedRules<'_>,
    used: &Used,
    now: UnixSeconds,
) -> Result<(), Refusal> {
    let jti = claims.text("jti").ok_or(BAD_JTI)?;
    let expires = claims.times().ok().and_then(|times| times.expires).unwrap_or(0);
    let until = UnixSeconds::new(expires).plus(rules.tolerance);
    match used.once(Kind::Request, &client.id, jti, until, now).await {
        Ok(Use::First) => Ok(()),
        Ok(Use::Again) => Err(REPLAYED),
        Ok(Use::TooMany(wait)) => Err(Refusal::busy("the client signs too many requests", wait)),
        Err(_) => Err(STORE_AWAY),
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, Header};
    use serde_json::json;

    use super::*;
    use crate::oauth::jwt::signer::Signer;
    use crate::oauth::jwt::tests::{client, inline_keys, used};

    const NOW: u64 = 1_000_000;

    const RULES: SignedRules<'_> = SignedRules {
        issuer: "https://us",
        tolerance: 30,
        fapi: false,
    };

    const FAPI: SignedRules<'_> = SignedRules { fapi: true, ..RULES };

    fn good() -> Value {
        json!({
            "iss": "c", "aud": "https://us", "exp": NOW + 300, "nbf": NOW, "iat": NOW, "jti": "1",
            "scope": "openid", "login_hint": "alice", "requested_expiry": 10,
        })
    }

    fn signing(signer: &Signer, alg: Alg) -> Client {
        let mut client = client("c", &signer.set());
        client.metadata.backchannel_authentication_request_signing_alg = Some(alg);
        client
    }

    fn outside(pairs: &[(&str, &str)]) -> Parameters {
        let mut parameters = Parameters::default();
        for (name, value) in pairs {
            parameters.add(name, (*value).to_owned().into()).unwrap();
        }
        parameters
    }

    async fn judged(
        client: &Client,
        outside: &Parameters,
        rules: SignedRules<'_>,
    ) -> Result<Option<Vec<(String, Value)>>, Refusal> {
        parameters_inside(
            client,
            outside,
            rules,
            (inline_keys(), &used()),
            UnixSeconds::new(NOW),
        )
        .await
    }

    /// Returns what a request with these claims gets.
    async fn sent(signer: &Signer, claims: &Value, rules: SignedRules<'_>) -> Result<(), Refusal> {
        let outside = outside(&[("request", &signer.sign(claims))]);
        let judged = judged(&signing(signer, Alg::ES256), &outside, rules).await;
        judged.map(|inside| assert!(inside.is_some()))
    }

    #[tokio::test]
    async fn c_160_c_167_the_parameters_inside_come_as_they_are() {
        for alg in Alg::ALL {
            let signer = Signer::new(alg, "1");
            let request = signer.sign(&good());
            let outside = outside(&[
                ("request", &request),
                ("client_id", "c"),
                ("client_assertion", "x"),
            ]);
            let inside = judged(&signing(&signer, alg), &outside, RULES)
                .await
                .unwrap()
                .unwrap();
            let expected = [
                ("login_hint", json!("alice")),
                ("requested_expiry", json!(10)),
                ("scope", json!("openid")),
            ];
            let mut inside = inside;
            inside.sort_by(|(one, _), (other, _)| one.cmp(other));
            assert_eq!(inside, expected.map(|(name, value)| (name.to_owned(), value)));
        }
    }

    #[tokio::test]
    async fn c_161_who_registered_an_algorithm_signs_and_nobody_else() {
        let signer = Signer::new(Alg::ES256, "1");
        let (signing, plain) = (signing(&signer, Alg::ES256), client("c", &signer.set()));
        let (open, signed) = (
            outside(&[("scope", "openid")]),
            outside(&[("request", &signer.sign(&good()))]),
        );
        assert_eq!(judged(&plain, &open, RULES).await, Ok(None));
        assert_eq!(judged(&plain, &signed, RULES).await, Err(MUST_NOT_SIGN));
        assert_eq!(judged(&signing, &open, RULES).await, Err(MUST_SIGN));
        assert!(judged(&signing, &signed, RULES).await.is_ok());
    }

    #[tokio::test]
    async fn c_160_another_algorithm_key_or_form_is_refused() {
        let signer = Signer::new(Alg::PS256, "1");
        let known = signing(&signer, Alg::PS256);
        let header = |change: fn(&mut Header)| signer.with_header(change).sign(&good());
        let good = signer.sign(&good());
        let payload = good.split('.').nth(1).unwrap();
        for (what, request) in [
            (
                "RS256, not registered",
                header(|header| header.alg = Algorithm::RS256),
            ),
            ("another key", Signer::new(Alg::PS256, "1").sign(&self::good())),
            (
                "HS256",
                Signer::hmac(signer.set().to_string().as_bytes()).sign(&self::good()),
            ),
            ("none", format!("eyJhbGciOiJub25lIn0.{payload}.")),
            ("a broken signature", format!("{}AAAA", &good[..good.len() - 4])),
            ("five parts", format!("{good}.x.y")),
            ("too long", signer.sign(&json!({ "x": "x".repeat(MAX_REQUEST) }))),
            (
                "critical",
                header(|header| header.crit = Some(vec!["exp".into()])),
            ),
        ] {
            let refused = judged(&known, &outside(&[("request", &request)]), RULES).await;
            assert_eq!(refused, Err(UNSIGNED), "{what}");
        }
    }

    #[tokio::test]
    async fn c_162_c_163_every_claim_is_there_and_right() {
        let signer = Signer::new(Alg::ES256, "1");
        assert_eq!(sent(&signer, &good(), RULES).await, Ok(()));
        for (name, refusal) in [
            ("aud", BAD_AUDIENCE),
            ("iss", BAD_ISSUER),
            ("exp", BAD_TIMES),
            ("iat", BAD_TIMES),
            ("nbf", BAD_TIMES),
            ("jti", BAD_JTI),
        ] {
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(name);
            assert_eq!(
                sent(&signer, &claims, RULES).await,
                Err(refusal),
                "without {name}"
            );
        }
        for (name, value, expected) in [
            ("aud", json!(["https://them", "https://us"]), Ok(())),
            ("aud", json!("https://us/oauth2/token"), Err(BAD_AUDIENCE)),
            ("iss", json!("d"), Err(BAD_ISSUER)),
            ("exp", json!(NOW - 29), Ok(())),
            ("exp", json!(NOW - 30), Err(BAD_TIMES)),
            ("exp", json!("x"), Err(BAD_TIMES)),
            ("nbf", json!(NOW + 30), Ok(())),
            ("nbf", json!(NOW + 31), Err(BAD_TIMES)),
            ("nbf", json!(NOW + 600), Err(BAD_TIMES)),
            ("iat", json!(NOW + 31), Err(BAD_TIMES)),
            ("jti", json!(7), Err(BAD_JTI)),
            ("request", json!("x"), Err(NESTED)),
            ("request_uri", json!("x"), Err(NESTED)),
        ] {
            let mut claims = good();
            claims[name] = value.clone();
            assert_eq!(sent(&signer, &claims, RULES).await, expected, "{name}: {value}");
        }
    }

    #[tokio::test]
    async fn c_163_c_168_a_signed_request_ends_within_a_day() {
        let signer = Signer::new(Alg::ES256, "1");
        for (exp, expected) in [
            (NOW + LONGEST + 30, Ok(())),
            (NOW + LONGEST + 31, Err(TOO_LATE)),
            (u64::MAX, Err(TOO_LATE)),
        ] {
            let mut claims = good();
            claims["exp"] = json!(exp);
            assert_eq!(sent(&signer, &claims, RULES).await, expected, "{exp}");
        }
    }

    #[tokio::test]
    async fn c_164_fapi_bounds_the_times_and_the_algorithms() {
        let signer = Signer::new(Alg::ES256, "1");
        for (exp, nbf, fits) in [
            (NOW + 3600, NOW, true),
            (NOW + 4200, NOW, false),
            (NOW + 3600, NOW - 1, false),
            (NOW + 1, NOW - 3599, true),
            (NOW + 1, NOW - 4200, false),
            (NOW + 3601, NOW + 30, false),
        ] {
            let mut claims = good();
            (claims["exp"], claims["nbf"]) = (json!(exp), json!(nbf));
            let expected = if fits { Ok(()) } else { Err(TOO_LONG) };
            assert_eq!(sent(&signer, &claims, FAPI).await, expected, "{exp} {nbf}");
            assert_eq!(sent(&signer, &claims, RULES).await, Ok(()), "{exp} {nbf}");
        }
        for (alg, expected) in [
            (Alg::PS256, None),
            (Alg::RS256, Some(BAD_ALG)),
            (Alg::EdDsa, Some(BAD_ALG)),
        ] {
            let signer = Signer::new(alg, "1");
            let outside = outside(&[("request", &signer.sign(&good()))]);
            assert_eq!(
                judged(&signing(&signer, alg), &outside, FAPI).await.err(),
                expected
            );
        }
    }

    #[tokio::test]
    async fn c_165_the_type_is_absent_or_one_of_two_in_any_case() {
        let signer = Signer::new(Alg::ES256, "1");
        for (typ, expected) in [
            (None, Ok(())),
            (Some("jwt"), Ok(())),
            (Some("OAuth-AuthZ-Req+JWT"), Ok(())),
            (Some("at+jwt"), Err(BAD_TYPE)),
            (Some("client-authentication+jwt"), Err(BAD_TYPE)),
            (Some(""), Err(BAD_TYPE)),
        ] {
            let signer = signer.with_header(|header| header.typ = typ.map(str::to_owned));
            assert_eq!(sent(&signer, &good(), RULES).await, expected, "{typ:?}");
        }
    }

    #[tokio::test]
    async fn c_166_nothing_but_the_clients_authentication_stands_beside() {
        let signer = Signer::new(Alg::ES256, "1");
        let client = signing(&signer, Alg::ES256);
        let request = signer.sign(&good());
        for name in ["scope", "login_hint", "binding_message", "request_uri", "unknown"] {
            let outside = outside(&[("request", &request), (name, "x")]);
            assert_eq!(judged(&client, &outside, RULES).await, Err(BESIDE), "{name}");
        }
    }

    #[tokio::test]
    async fn c_168_a_signed_request_counts_once() {
        let signer = Signer::new(Alg::ES256, "1");
        let (client, used) = (signing(&signer, Alg::ES256), used());
        let send = async |claims: &Value| {
            let outside = outside(&[("request", &signer.sign(claims))]);
            let (keys, now) = (inline_keys(), UnixSeconds::new(NOW));
            parameters_inside(&client, &outside, RULES, (keys, &used), now)
                .await
                .map(drop)
        };
        let mut late = good();
        late["exp"] = json!(0);
        assert_eq!(send(&late).await, Err(BAD_TIMES));
        assert_eq!(
            send(&good()).await,
            Ok(()),
            "the one that was late used nothing up"
        );
        assert_eq!(send(&good()).await, Err(REPLAYED));
    }
}

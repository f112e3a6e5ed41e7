//! Signed authentication requests (C-160 … C-169).

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::kit::ciba::{ASKING, Answer, NO_LIMITS, Provider, SECRET, Table, client, site};
use crate::kit::signer::{Signer, changed, seconds, unique, unsigned};

const BAD: (u16, &str) = (400, "invalid_request");
const GOOD: (u16, &str) = (200, "");

/// Returns TOML of a client that signs its requests.
fn signs(id: &str, signer: &Signer, alg: &str) -> String {
    let keys = signer.toml();
    client(
        id,
        &format!("backchannel_authentication_request_signing_alg = \"{alg}\"\njwks = {keys}"),
    )
}

/// The claims of a good request of `signs`.
fn good(provider: &Provider) -> Value {
    let now = seconds();
    json!({
        "iss": "signs", "aud": provider.server.url, "exp": now + 300, "nbf": now, "iat": now, "jti": unique(),
        "scope": "openid", "login_hint": "alice@example.com",
    })
}

async fn sent(provider: &Provider, request: &str, beside: &[(&str, &str)]) -> Answer {
    let form = [&[("request", request)], beside].concat();
    provider.form_as("signs", ASKING, &form).await
}

/// Compares what good claims with a change are answered.
async fn compared(provider: &Provider, signer: &Signer, rows: &[(&str, &str, Value, (u16, &str))]) {
    let mut table = Table::default();
    for (what, name, value, expected) in rows {
        let claims = changed(good(provider), &[(name, value.clone())]);
        table.row(what, &sent(provider, &signer.sign(&claims), &[]).await, *expected);
    }
    table.end();
}

#[tokio::test]
async fn c_160_c_161_a_request_is_signed_by_its_client_with_the_registered_algorithm() {
    let [signer, other] = [Signer::new(Algorithm::PS256), Signer::new(Algorithm::PS256)];
    let clients = [signs("signs", &signer, "PS256"), signs("other", &other, "PS256")].concat();
    let provider = Provider::start(site(NO_LIMITS).and(clients)).await;
    let jwt = |signer: &Signer| signer.sign(&good(&provider));
    let own = jwt(&signer);
    let half = own.rsplit_once('.').unwrap().0.to_owned();
    let mut table = Table::default();
    for (what, request, expected) in [
        ("C-160: good", jwt(&signer), GOOD),
        ("C-160: another client's key", jwt(&other), BAD),
        (
            "C-160: RS256",
            jwt(&signer.with_header(|header| header.alg = Algorithm::RS256)),
            BAD,
        ),
        ("C-160: ES256", jwt(&Signer::new(Algorithm::ES256)), BAD),
        (
            "C-160: HS256 with the secret",
            jwt(&Signer::hmac(SECRET.as_bytes())),
            BAD,
        ),
        (
            "C-160: HS256 with the keys",
            jwt(&Signer::hmac(signer.set().to_string().as_bytes())),
            BAD,
        ),
        ("C-160: none", unsigned(&good(&provider)), BAD),
        (
            "C-160: a broken signature",
            format!("{half}.{}", "A".repeat(342)),
            BAD,
        ),
        ("C-160: two parts", half, BAD),
        ("C-160: five parts", format!("{own}.x.y"), BAD),
        (
            "C-160: an unknown kid",
            jwt(&signer.with_header(|header| header.kid = Some("2".into()))),
            BAD,
        ),
        (
            "C-160: critical",
            jwt(&signer.with_header(|header| header.crit = Some(vec!["exp".into()]))),
            BAD,
        ),
        ("C-160: no JWT", "nonsense".into(), BAD),
    ] {
        table.row(what, &sent(&provider, &request, &[]).await, expected);
    }
    table.row("C-161: in the open", &provider.ask_as("signs", &[]).await, BAD);
    table.row("C-161: empty", &sent(&provider, "", &[]).await, BAD);
    let not_registered = [("request", &*jwt(&signer))];
    table.row(
        "C-161: not registered",
        &provider.form_as("agent", ASKING, &not_registered).await,
        BAD,
    );
    table.row(
        "C-161: and beside the rest",
        &provider.ask(&not_registered).await,
        BAD,
    );
    table.end();
}

#[tokio::test]
async fn c_162_c_163_c_165_c_168_c_169_the_envelope_is_for_us_and_for_now_and_for_once() {
    let signer = Signer::new(Algorithm::ES256);
    let provider = Provider::start(site(NO_LIMITS).and(signs("signs", &signer, "ES256"))).await;
    let (us, now, none) = (provider.server.url.clone(), seconds(), Value::Null);
    let rows = [
        ("good", "x", none.clone(), GOOD),
        ("C-162: no aud", "aud", none.clone(), BAD),
        ("C-162: another aud", "aud", json!("https://them"), BAD),
        ("C-162: a list", "aud", json!(["https://them", us]), GOOD),
        ("C-162: the endpoint", "aud", json!(format!("{us}{ASKING}")), BAD),
        ("C-162: no iss", "iss", none.clone(), BAD),
        ("C-162: another client", "iss", json!("agent"), BAD),
        ("C-162: no exp", "exp", none.clone(), BAD),
        ("C-162: no iat", "iat", none.clone(), BAD),
        ("C-162: no nbf", "nbf", none.clone(), BAD),
        ("C-162: no jti", "jti", none.clone(), BAD),
        ("C-162: an empty jti", "jti", json!(""), BAD),
        ("C-163: expired", "exp", json!(now - 60), BAD),
        ("C-163: just expired", "exp", json!(now - 10), GOOD),
        ("C-163: a text", "exp", json!("soon"), BAD),
        ("C-168: the end of time", "exp", json!(u64::MAX), BAD),
        ("C-168: beyond", "exp", json!(1e300), BAD),
        ("C-163: ten minutes ahead", "nbf", json!(now + 600), BAD),
        ("C-163: a little ahead", "nbf", json!(now + 20), GOOD),
        ("C-163: made in the future", "iat", json!(now + 90), BAD),
        ("C-164 is off: a long one", "exp", json!(now + 70 * 60), GOOD),
        ("C-164 is off: an old one", "nbf", json!(now - 70 * 60), GOOD),
        ("C-169: a request inside", "request", json!("a.b.c"), BAD),
        (
            "C-169: a reference inside",
            "request_uri",
            json!("https://x.example"),
            BAD,
        ),
    ];
    compared(&provider, &signer, &rows).await;
    let mut table = Table::default();
    for (typ, expected) in [
        (None, GOOD),
        (Some("JWT"), GOOD),
        (Some("jwt"), GOOD),
        (Some("oauth-authz-req+jwt"), GOOD),
        (Some("OAuth-AuthZ-Req+JWT"), GOOD),
        (Some("at+jwt"), BAD),
        (Some("client-authentication+jwt"), BAD),
    ] {
        let signer = signer.with_header(|header| header.typ = typ.map(str::to_owned));
        let answer = sent(&provider, &signer.sign(&good(&provider)), &[]).await;
        table.row(&format!("C-165: {typ:?}"), &answer, expected);
    }
    let claims = good(&provider);
    let forged = Signer::new(Algorithm::ES256).sign(&claims);
    let (one, same_jti) = (
        signer.sign(&claims),
        signer.sign(&changed(claims, &[("scope", json!("openid email"))])),
    );
    for (what, request, expected) in [
        ("C-168: forged", &forged, BAD),
        ("C-168: first", &one, GOOD),
        ("C-168: again", &one, BAD),
        ("C-168: another of the same jti", &same_jti, BAD),
    ] {
        table.row(what, &sent(&provider, request, &[]).await, expected);
    }
    table.end();
}

#[tokio::test]
async fn c_164_fapi_bounds_the_times_and_the_algorithms() {
    let [signer, rsa] = [Signer::new(Algorithm::ES256), Signer::new(Algorithm::RS256)];
    let clients = [
        signs("signs", &signer, "ES256"),
        signs("rs256", &rsa, "RS256"),
        signs("ps256", &rsa, "PS256"),
    ];
    let provider = Provider::start(site(&format!("fapi = true\n{NO_LIMITS}")).and(clients.concat())).await;
    let now = seconds();
    let rows = [
        ("good", "x", Value::Null, GOOD),
        ("70 minutes ahead", "exp", json!(now + 70 * 60), BAD),
        ("70 minutes ago", "nbf", json!(now - 70 * 60), BAD),
        ("50 minutes ahead", "exp", json!(now + 50 * 60), GOOD),
        ("50 minutes ago", "nbf", json!(now - 50 * 60), GOOD),
    ];
    compared(&provider, &signer, &rows).await;
    let both = changed(
        good(&provider),
        &[("exp", json!(now + 31 * 60)), ("nbf", json!(now - 31 * 60))],
    );
    assert_eq!(sent(&provider, &signer.sign(&both), &[]).await.refusal(), BAD);
    for (id, alg, expected) in [
        ("ps256", Algorithm::PS256, GOOD),
        ("rs256", Algorithm::RS256, BAD),
    ] {
        let claims = changed(good(&provider), &[("iss", json!(id))]);
        let request = rsa.with_header(|header| header.alg = alg).sign(&claims);
        let answer = provider.form_as(id, ASKING, &[("request", &request)]).await;
        assert_eq!(answer.refusal(), expected, "{id}");
    }
}

#[tokio::test]
async fn c_166_nothing_but_the_clients_authentication_stands_beside() {
    let signer = Signer::new(Algorithm::ES256);
    let provider = Provider::start(site(NO_LIMITS).and(signs("signs", &signer, "ES256"))).await;
    let mut table = Table::default();
    for (name, value, expected) in [
        ("client_id", "signs", GOOD),
        ("client_id", "agent", BAD),
        ("scope", "openid", BAD),
        ("scope", "", GOOD),
        ("login_hint", "alice@example.com", BAD),
        ("binding_message", "1234", BAD),
        ("requested_expiry", "10", BAD),
        ("request_uri", "https://x.example", BAD),
        ("resource", "https://x.example", BAD),
        ("unknown", "x", BAD),
    ] {
        let answer = sent(&provider, &signer.sign(&good(&provider)), &[(name, value)]).await;
        table.row(&format!("{name}={value}"), &answer, expected);
    }
    let request = signer.sign(&good(&provider));
    let form = [
        ("request", &*request),
        ("client_id", "signs"),
        ("client_secret", SECRET),
    ];
    table.row("post", &Answer::of(provider.post(ASKING).form(&form)).await, GOOD);
    let body = json!({ "request": signer.sign(&good(&provider)) });
    let as_json = provider
        .post(ASKING)
        .basic_auth("signs", Some(SECRET))
        .json(&body);
    table.row("JSON", &Answer::of(as_json).await, GOOD);
    table.end();
}

#[tokio::test]
async fn c_167_inside_the_same_rules_hold() {
    let signer = Signer::new(Algorithm::ES256);
    let resources = "[oauth]\nresources = [\"https://a.example\", \"https://b.example\"]\n";
    let provider = Provider::start(
        site(NO_LIMITS)
            .and(resources)
            .and(signs("signs", &signer, "ES256")),
    )
    .await;
    let none = Value::Null;
    let rows = [
        ("an expiry as a number", "requested_expiry", json!(10), GOOD),
        ("an expiry as a text", "requested_expiry", json!("10"), GOOD),
        ("a bad expiry", "requested_expiry", json!(0), BAD),
        ("a fraction", "requested_expiry", json!(1.5), BAD),
        ("a list", "requested_expiry", json!([10]), BAD),
        (
            "details",
            "authorization_details",
            json!([{ "type": "pay" }]),
            GOOD,
        ),
        (
            "details as a text",
            "authorization_details",
            json!("[{\"type\":\"pay\"}]"),
            GOOD,
        ),
        (
            "bad details",
            "authorization_details",
            json!([]),
            (400, "invalid_authorization_details"),
        ),
        (
            "resources",
            "resource",
            json!(["https://a.example", "https://b.example"]),
            GOOD,
        ),
        (
            "a bad resource",
            "resource",
            json!(["https://c.example"]),
            (400, "invalid_target"),
        ),
        ("no scope", "scope", none.clone(), BAD),
        ("a number as a scope", "scope", json!(1), BAD),
        ("a list as a scope", "scope", json!(["openid"]), BAD),
        ("a bad scope", "scope", json!("profile"), (400, "invalid_scope")),
        ("no hint", "login_hint", none.clone(), BAD),
        ("a number as a hint", "login_hint", json!(1), BAD),
        (
            "an unknown person",
            "login_hint",
            json!("nobody"),
            (400, "unknown_user_id"),
        ),
        (
            "a bad message",
            "binding_message",
            json!("a\nb"),
            (400, "invalid_binding_message"),
        ),
        ("a number as a message", "binding_message", json!(1234), BAD),
        ("another hint", "id_token_hint", json!("a.b.c"), BAD),
        ("a registration", "registration", json!({}), BAD),
        (
            "an extension of any type",
            "x_extension",
            json!({ "a": [1] }),
            GOOD,
        ),
        ("a number of another server's", "max_age", json!(60), GOOD),
        ("an empty extension", "x", json!(""), GOOD),
    ];
    compared(&provider, &signer, &rows).await;
    let claims = changed(
        good(&provider),
        &[
            ("requested_expiry", json!("10")),
            ("binding_message", json!("1234")),
        ],
    );
    let answer = sent(&provider, &signer.sign(&claims), &[]).await;
    assert_eq!(answer.body["expires_in"], 10);
    let shown = provider.verify(&answer.text("auth_req_id")).await;
    assert_eq!(shown.text("binding_message"), "1234");
}

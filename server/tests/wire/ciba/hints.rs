//! Whom a client means (C-180 … C-190).

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::kit::ciba::{Answer, NO_LIMITS, Provider, Table, client, site};
use crate::kit::signer::{Signer, changed, seconds, unsigned};

const BAD: (u16, &str) = (400, "invalid_request");
const UNKNOWN: (u16, &str) = (400, "unknown_user_id");
const GOOD: (u16, &str) = (200, "");
const DAY: u64 = 86_400;

/// For HS256 hints.
const HINT_SECRET: &str = "a-secret-for-hints-of-32-bytes-or-more";

/// Asks with this hint alone.
async fn ask(provider: &Provider, client: &str, hint: &[(&str, &str)]) -> Answer {
    let form = [&[("scope", "openid")], hint].concat();
    provider.form_as(client, "/oauth2/bc-authorize", &form).await
}

async fn compared(provider: &Provider, name: &str, rows: &[(&str, String, (u16, &str))]) {
    let mut table = Table::default();
    for (what, hint, expected) in rows {
        table.row(what, &ask(provider, "agent", &[(name, hint)]).await, *expected);
    }
    table.end();
}

/// Returns an ID Token of this person for a client.
async fn id_token(provider: &Provider, client: &str) -> String {
    let asked = provider.ask_as(client, &[]).await;
    let id = asked.text("auth_req_id");
    provider.allow(&id).await;
    provider.poll_as(client, &id).await.text("id_token")
}

#[tokio::test]
async fn c_104_c_180_a_request_has_exactly_one_hint() {
    let provider = Provider::start(site(NO_LIMITS)).await;
    let (login, token, id) = (
        ("login_hint", "alice@example.com"),
        ("login_hint_token", "a.b.c"),
        ("id_token_hint", "a.b.c"),
    );
    let mut table = Table::default();
    for hints in [
        &[][..],
        &[login, token],
        &[login, id],
        &[token, id],
        &[login, token, id],
    ] {
        table.row(&format!("{hints:?}"), &ask(&provider, "agent", hints).await, BAD);
    }
    table.row("one", &ask(&provider, "agent", &[login]).await, GOOD);
    table.end();
}

#[tokio::test]
async fn c_181_a_login_hint_is_looked_up_in_the_configured_order() {
    let people = "[[user]]\nsub = \"carol-3\"\nemail = \"Carol@Example.com\"\nusername = \"carol\"\nphone = \"+4912345\"\n\
                  [[user]]\nsub = \"dan-4\"\nemail = \"dan@example.com\"\ndisabled = true\n";
    let longest = "x".repeat(1024);
    let provider = Provider::start(site(NO_LIMITS).and(people)).await;
    let rows = |rows: &[(&'static str, &str, (u16, &'static str))]| -> Vec<(&'static str, String, (u16, &'static str))> {
        rows.iter().map(|(what, hint, expected)| (*what, (*hint).to_owned(), *expected)).collect()
    };
    let by_mail = rows(&[
        ("an address", "carol@example.com", GOOD),
        ("in capitals", "CAROL@EXAMPLE.COM", GOOD),
        ("an unknown address", "eve@example.com", UNKNOWN),
        ("a user name", "carol", UNKNOWN),
        ("a subject", "carol-3", UNKNOWN),
        ("a number", "+4912345", UNKNOWN),
        ("a disabled person", "dan@example.com", UNKNOWN),
        ("the longest", &longest, UNKNOWN),
        ("too long", &format!("{longest}x"), BAD),
        ("a NUL", "carol@example.com\0", UNKNOWN),
    ]);
    compared(&provider, "login_hint", &by_mail).await;
    let all = format!("login_hint = [\"phone\", \"username\", \"subject\"]\n{NO_LIMITS}");
    let provider = Provider::start(site(&all).and(people)).await;
    let others = rows(&[
        ("a user name", "carol", GOOD),
        ("a subject", "carol-3", GOOD),
        ("a number", "+4912345", GOOD),
        ("an address", "carol@example.com", UNKNOWN),
    ]);
    compared(&provider, "login_hint", &others).await;
}

#[tokio::test]
async fn c_182_a_login_hint_token_is_of_a_configured_issuer_for_us_and_for_now() {
    let [hr, stranger] = [Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256)];
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hr.json");
    std::fs::write(&file, hr.set().to_string()).unwrap();
    let issuers = format!(
        "{NO_LIMITS}[[ciba.login_hint_token.issuer]]\niss = \"https://hr.example\"\njwks_file = \"{}\"\n",
        file.display()
    );
    let people = "[[user]]\nsub = \"carol-3\"\nphone = \"+4912345\"\n";
    let provider = Provider::start(site(&issuers).and(people)).await;
    let us = provider.server.url.clone();
    let now = seconds();
    let claims = |with: &[(&str, Value)]| {
        let good = json!({ "iss": "https://hr.example", "aud": us, "exp": now + 60, "sub": "alice-1" });
        changed(good, with)
    };
    let named = |id: Value| hr.sign(&claims(&[("sub", Value::Null), ("sub_id", id)]));
    let expired = (400, "expired_login_hint_token");
    let rows = [
        ("sub", hr.sign(&claims(&[])), GOOD),
        (
            "an address",
            named(json!({ "format": "email", "email": "Alice@example.com" })),
            GOOD,
        ),
        (
            "a number",
            named(json!({ "format": "phone_number", "phone_number": "+4912345" })),
            GOOD,
        ),
        (
            "a subject of ours",
            named(json!({ "format": "iss_sub", "iss": us, "sub": "alice-1" })),
            GOOD,
        ),
        (
            "opaque",
            named(json!({ "format": "opaque", "id": "alice@example.com" })),
            GOOD,
        ),
        (
            "a list of audiences",
            hr.sign(&claims(&[("aud", json!(["https://them", us]))])),
            GOOD,
        ),
        (
            "just expired",
            hr.sign(&claims(&[("exp", json!(now - 10))])),
            GOOD,
        ),
        ("malformed", "nonsense".into(), BAD),
        ("three parts of nothing", "a.b.c".into(), BAD),
        ("another's signature", stranger.sign(&claims(&[])), BAD),
        ("unsigned", unsigned(&claims(&[])), BAD),
        (
            "HS256",
            Signer::hmac(hr.set().to_string().as_bytes()).sign(&claims(&[])),
            BAD,
        ),
        (
            "another audience",
            hr.sign(&claims(&[("aud", json!("https://them"))])),
            BAD,
        ),
        ("no audience", hr.sign(&claims(&[("aud", Value::Null)])), BAD),
        (
            "an unknown issuer",
            hr.sign(&claims(&[("iss", json!("https://crm.example"))])),
            BAD,
        ),
        ("no exp", hr.sign(&claims(&[("exp", Value::Null)])), BAD),
        (
            "from the future",
            hr.sign(&claims(&[("nbf", json!(now + 90))])),
            BAD,
        ),
        ("no person", hr.sign(&claims(&[("sub", Value::Null)])), BAD),
        (
            "another format",
            named(json!({ "format": "did", "url": "did:x" })),
            BAD,
        ),
        ("expired", hr.sign(&claims(&[("exp", json!(now - 60))])), expired),
        (
            "expired, and another's",
            stranger.sign(&claims(&[("exp", json!(now - 60))])),
            BAD,
        ),
        (
            "an unknown person",
            hr.sign(&claims(&[("sub", json!("nobody"))])),
            UNKNOWN,
        ),
        (
            "an unknown address",
            named(json!({ "format": "email", "email": "x@y" })),
            UNKNOWN,
        ),
    ];
    compared(&provider, "login_hint_token", &rows).await;
}

#[tokio::test]
async fn c_183_an_opaque_login_hint_token_is_looked_up_like_a_login_hint() {
    let opaque = format!("{NO_LIMITS}[ciba.login_hint_token]\nmode = \"opaque\"\n");
    let provider = Provider::start(site(&opaque)).await;
    let rows = [
        ("known", "alice@example.com".to_owned(), GOOD),
        ("unknown", "a.b.c".to_owned(), UNKNOWN),
        ("too long", "x".repeat(1025), BAD),
    ];
    compared(&provider, "login_hint_token", &rows).await;
}

#[tokio::test]
async fn c_185_c_186_c_187_an_id_token_hint_is_a_token_of_ours_for_this_client() {
    let provider = Provider::start(site(NO_LIMITS).and(client("other", ""))).await;
    let own = id_token(&provider, "agent").await;
    let others = id_token(&provider, "other").await;
    let access = {
        let id = provider.asked(&[]).await;
        provider.allow(&id).await;
        provider.poll(&id).await.text("access_token")
    };
    let parts: Vec<&str> = own.split('.').collect();
    let signer = Signer::new(Algorithm::RS256);
    let kid = jsonwebtoken::decode_header(&own).unwrap().kid.unwrap();
    let claims = json!({ "iss": provider.server.url, "aud": "agent", "sub": "alice-1", "iat": seconds(), "exp": seconds() + 60 });
    let keys = Answer::of(crate::kit::browser::http().get(provider.url("/oauth2/jwks")))
        .await
        .body;
    let as_secret = |secret: &[u8]| {
        Signer::hmac(secret)
            .with_header(|header| header.kid = Some(kid.clone()))
            .sign(&claims)
    };
    let modulus = keys["keys"][0]["n"].as_str().unwrap_or("no-modulus").to_owned();
    let rows = [
        ("its own", own.clone(), GOOD),
        ("again", own.clone(), GOOD),
        ("another client's", others, BAD),
        ("an access token", access, BAD),
        ("two parts", parts[..2].join("."), BAD),
        ("five parts", format!("{own}.x.y"), BAD),
        ("no signature", format!("{}.{}.", parts[0], parts[1]), BAD),
        (
            "a changed payload",
            format!("{}.{}A.{}", parts[0], parts[1], parts[2]),
            BAD,
        ),
        ("unsigned", unsigned(&claims), BAD),
        ("a stranger's", signer.sign(&claims), BAD),
        (
            "a stranger's with our kid",
            signer
                .with_header(|header| header.kid = Some(kid.clone()))
                .sign(&claims),
            BAD,
        ),
        (
            "C-188: HS256 without a secret",
            Signer::hmac(HINT_SECRET.as_bytes()).sign(&claims),
            BAD,
        ),
        ("C-188: a modulus as a secret", as_secret(modulus.as_bytes()), BAD),
        (
            "C-188: our keys as a secret",
            as_secret(keys.to_string().as_bytes()),
            BAD,
        ),
        ("a text", "alice@example.com".into(), BAD),
    ];
    compared(&provider, "id_token_hint", &rows).await;
}

#[tokio::test]
async fn c_186_c_187_c_188_c_189_an_hs256_hint_needs_the_secret_and_the_same_claims() {
    for (days, age) in [(30, 30 * DAY), (0, 0)] {
        let settings =
            format!("id_token_hint_secret = \"{HINT_SECRET}\"\nid_token_hint_days = {days}\n{NO_LIMITS}");
        let provider = Provider::start(site(&settings)).await;
        let (us, now, signer) = (
            provider.server.url.clone(),
            seconds(),
            Signer::hmac(HINT_SECRET.as_bytes()),
        );
        let good = json!({ "iss": us, "aud": "agent", "sub": "alice-1", "iat": now, "exp": now + 60 });
        let with = |name: &str, value: Value| signer.sign(&changed(good.clone(), &[(name, value)]));
        let rows = [
            ("good", signer.sign(&good), GOOD),
            (
                "C-188: another secret",
                Signer::hmac(b"another-secret-of-32-bytes-or-more").sign(&good),
                BAD,
            ),
            (
                "C-188: HS512",
                signer
                    .with_header(|header| header.alg = Algorithm::HS512)
                    .sign(&good),
                BAD,
            ),
            ("C-186: another issuer", with("iss", json!("https://them")), BAD),
            ("C-186: a slash more", with("iss", json!(format!("{us}/"))), BAD),
            ("C-186: another client", with("aud", json!("other")), BAD),
            ("C-186: clients", with("aud", json!(["other", "agent"])), GOOD),
            ("C-186: azp", with("azp", json!("agent")), GOOD),
            ("C-186: another azp", with("azp", json!("other")), BAD),
            ("C-186: no sub", with("sub", Value::Null), BAD),
            ("C-186: no iat", with("iat", Value::Null), BAD),
            ("C-186: from the future", with("iat", json!(now + 90)), BAD),
            ("C-187: an unknown person", with("sub", json!("nobody")), UNKNOWN),
            ("C-189: as old as it may be", with("exp", json!(now - age)), GOOD),
            ("C-189: too old", with("exp", json!(now - age - 60)), BAD),
        ];
        compared(&provider, "id_token_hint", &rows).await;
    }
}

#[tokio::test]
async fn c_190_whether_a_person_exists_can_be_hidden() {
    let limits =
        "hide_unknown_users = true\n[ciba.limits]\nundecided_per_client = 2\nundecided_per_user = 2\n";
    let provider = Provider::start(site(limits)).await;
    let known = ask(&provider, "agent", &[("login_hint", "alice@example.com")]).await;
    let members =
        |answer: &Answer| -> Vec<String> { answer.body.as_object().unwrap().keys().cloned().collect() };
    let mut last = String::new();
    // Each unknown hint has its own limits, as each person has.
    for n in 0..5 {
        let hint = format!("nobody-{n}@example.com");
        let answer = ask(&provider, "agent", &[("login_hint", &hint)]).await;
        assert_eq!(
            (answer.status, members(&answer)),
            (known.status, members(&known)),
            "{answer:?}"
        );
        last = answer.text("auth_req_id");
    }
    let again = [("login_hint", "nobody-0@example.com")];
    assert_eq!(ask(&provider, "agent", &again).await.refusal(), GOOD);
    assert_eq!(
        ask(&provider, "agent", &again).await.refusal(),
        (403, "access_denied")
    );
    assert_eq!(
        provider.poll(&last).await.refusal(),
        (400, "authorization_pending")
    );
    assert_eq!(provider.verify(&last).await.text("status"), "pending");
    assert!(provider.allow(&last).await.status.is_client_error());
}

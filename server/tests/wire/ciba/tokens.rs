//! What a client gets (C-300 … C-307). What it does with it is in `oauth::tokens` (C-302, C-309).

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

use crate::kit::browser::http;
use crate::kit::ciba::{Answer, Provider, client, site};

async fn redeemed(provider: &Provider, client: &str, with: &[(&str, &str)]) -> Answer {
    let asked = provider.ask_as(client, with).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    let id = asked.text("auth_req_id");
    assert_eq!(provider.allow(&id).await.status, 204);
    let answer = provider.poll_as(client, &id).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

fn header(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(header).unwrap()).unwrap()
}

fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn c_300_an_answer_has_its_members_and_what_applies() {
    let provider = Provider::plain().await;
    let least = redeemed(&provider, "agent", &[]).await;
    let mut names = members(&least.body);
    names.sort_unstable();
    assert_eq!(
        names,
        ["access_token", "expires_in", "id_token", "scope", "token_type"]
    );
    assert_eq!(least.headers["cache-control"], "no-store");
    assert_eq!(least.headers["content-type"], "application/json");
    assert_eq!(
        (
            &least.body["token_type"],
            &least.body["expires_in"],
            &least.body["scope"]
        ),
        (&json!("Bearer"), &json!(600), &json!("openid"))
    );
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    assert!(least.text("access_token").bytes().all(plain));
    let jti = least.claims("access_token")["jti"].as_str().unwrap().to_owned();
    assert!(jti.len() * 6 >= 128, "{jti}");
    let most = [
        ("scope", "openid offline_access"),
        ("authorization_details", r#"[{"type":"pay"}]"#),
    ];
    let most = redeemed(&provider, "agent", &most).await;
    assert!(!most.text("refresh_token").is_empty());
    assert_eq!(most.body["authorization_details"], json!([{ "type": "pay" }]));
    assert_ne!(most.claims("access_token")["jti"], jti);
}

#[tokio::test]
async fn c_301_the_scope_is_the_requests_whatever_the_token_request_says() {
    let provider = Provider::plain().await;
    let id = provider.asked(&[("scope", "openid profile")]).await;
    provider.allow(&id).await;
    let form = [
        ("grant_type", "urn:openid:params:grant-type:ciba"),
        ("auth_req_id", &*id),
        ("scope", "openid profile email offline_access"),
        ("authorization_details", r#"[{"type":"pay"}]"#),
    ];
    let answer = provider.form_as("agent", "/oauth2/token", &form).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text("scope"), "openid profile");
    assert_eq!(answer.claims("access_token")["scope"], "openid profile");
    for absent in ["refresh_token", "authorization_details"] {
        assert!(answer.body.get(absent).is_none(), "{absent}");
    }
}

#[tokio::test]
async fn c_302_a_refresh_token_comes_with_offline_access_or_by_the_operators_terms() {
    let terms = client("kept", "terms = { refresh_tokens = true }");
    let provider = Provider::start(site("").and(terms)).await;
    for (client, scope, expected) in [
        ("agent", "openid", false),
        ("agent", "openid offline_access", true),
        ("kept", "openid", true),
    ] {
        let answer = redeemed(&provider, client, &[("scope", scope)]).await;
        assert_eq!(
            answer.body.get("refresh_token").is_some(),
            expected,
            "{client} {scope}"
        );
    }
}

#[tokio::test]
async fn c_302_a_refresh_of_a_grant_without_a_resource_is_for_the_issuer_alone() {
    let resources = "[oauth]\nresources = [\"https://a.example\", \"https://b.example\"]\n";
    let provider = Provider::start(site("").and(resources)).await;
    let refreshed = async |resource: &str, refresh_token: &str| {
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        form.extend((!resource.is_empty()).then_some(("resource", resource)));
        provider.form_as("agent", "/oauth2/token", &form).await
    };
    let offline = ("scope", "openid offline_access");
    let own = redeemed(&provider, "agent", &[offline])
        .await
        .text("refresh_token");
    let refused = refreshed("https://a.example", &own).await;
    assert_eq!(
        refused.refusal(),
        (400, "invalid_target"),
        "the person was shown none"
    );
    let answer = refreshed("", &own).await;
    assert_eq!(answer.claims("access_token")["aud"], json!(provider.server.url));
    // What the client chose when it redeemed the request is all that there is (C-272).
    let id = provider.asked(&[offline]).await;
    provider.allow(&id).await;
    let form = [
        ("grant_type", "urn:openid:params:grant-type:ciba"),
        ("auth_req_id", &*id),
        ("resource", "https://a.example"),
    ];
    let answer = provider.form_as("agent", "/oauth2/token", &form).await;
    assert_eq!(answer.claims("access_token")["aud"], "https://a.example");
    let chosen = answer.text("refresh_token");
    let refused = refreshed("https://b.example", &chosen).await;
    assert_eq!(refused.refusal(), (400, "invalid_target"));
    let answer = refreshed("https://a.example", &chosen).await;
    assert_eq!(answer.claims("access_token")["aud"], "https://a.example");
    let answer = refreshed("", &answer.text("refresh_token")).await;
    assert_eq!(answer.claims("access_token")["aud"], "https://a.example");
}

#[tokio::test]
async fn c_303_c_304_an_access_token_says_who_may_do_what_where_for_whom() {
    let resources = "[oauth]\nresources = [\"https://a.example\", \"https://b.example\"]\n";
    let provider = Provider::start(site("").and(resources)).await;
    let details = ("authorization_details", r#"[{"type":"pay","amount":3}]"#);
    let agent = ("agent_claims", r#"{"agent":{"model":"m-1"}}"#);
    let own = redeemed(&provider, "agent", &[details, agent]).await;
    let claims = own.claims("access_token");
    for (claim, value) in [
        ("iss", json!(provider.server.url)),
        ("aud", json!(provider.server.url)),
        ("sub", json!("alice-1")),
        ("client_id", json!("agent")),
        ("scope", json!("openid")),
        ("act", json!({ "sub": "agent" })),
        ("authorization_details", json!([{ "type": "pay", "amount": 3 }])),
        ("agent", json!({ "model": "m-1" })),
    ] {
        assert_eq!(claims[claim], value, "{claim}");
    }
    let [iat, exp] = ["iat", "exp"].map(|claim| claims[claim].as_u64().unwrap());
    assert_eq!(exp - iat, 600);
    assert_eq!(header(&own.text("access_token"))["typ"], "at+jwt");
    let (a, b) = (
        ("resource", "https://a.example"),
        ("resource", "https://b.example"),
    );
    for (with, aud) in [
        (&[a][..], json!("https://a.example")),
        (&[a, b], json!(["https://a.example", "https://b.example"])),
    ] {
        let answer = redeemed(&provider, "agent", with).await;
        assert_eq!(answer.claims("access_token")["aud"], aud);
    }
}

#[tokio::test]
async fn c_306_c_307_c_308_an_id_token_says_who_and_when_and_binds_the_access_token() {
    let algs = ["ES256", "RS256", "PS256", "EdDSA"];
    let named = |alg: &&str| client(alg, &format!("id_token_signed_response_alg = \"{alg}\""));
    let clients: String = algs.iter().map(named).collect();
    let provider = Provider::start(site("acr_values = [\"urn:mfa\"]").and(clients)).await;
    let keys = Answer::of(http().get(provider.url("/.well-known/openid-configuration"))).await;
    let keys = Answer::of(http().get(keys.text("jwks_uri"))).await;
    for alg in algs {
        let with = [("scope", "openid offline_access"), ("acr_values", "urn:mfa")];
        let answer = redeemed(&provider, alg, &with).await;
        let header = header(&answer.text("id_token"));
        assert_eq!(header["alg"], alg);
        let kids = keys.body["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| &key["kid"]);
        assert_eq!(kids.filter(|kid| **kid == header["kid"]).count(), 1, "{header}");
        let claims = answer.claims("id_token");
        let mut names = members(&claims);
        names.sort_unstable();
        assert_eq!(
            names,
            ["acr", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "sub"]
        );
        for (claim, value) in [
            ("iss", json!(provider.server.url)),
            ("sub", json!("alice-1")),
            ("aud", json!(alg)),
            ("acr", json!("urn:mfa")),
        ] {
            assert_eq!(claims[claim], value, "{claim}");
        }
        let token = answer.text("access_token");
        let hash = match alg {
            "EdDSA" => Base64UrlUnpadded::encode_string(&Sha512::digest(token.as_bytes())[..32]),
            _ => Base64UrlUnpadded::encode_string(&Sha256::digest(token.as_bytes())[..16]),
        };
        assert_eq!(claims["at_hash"], hash, "{alg}");
        let [iat, exp, auth_time] = ["iat", "exp", "auth_time"].map(|claim| claims[claim].as_u64().unwrap());
        assert!(auth_time <= iat && iat < exp);
    }
}

/// Returns TOML of a claims command: a shell script that sees whether `file` is there.
fn claims_command(file: &std::path::Path) -> String {
    let script = format!("test -e {} || exit 1; printf '{{\"tier\":2}}'", file.display());
    format!("[oauth]\nclaims_command = ['/bin/sh', '-c', '''{script}''']\n")
}

#[tokio::test]
async fn c_305_claims_of_the_operators_program_are_in_the_token_and_its_failure_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("works");
    let provider = Provider::start(site("").and(claims_command(&file))).await;
    let id = provider.asked(&[("scope", "openid offline_access")]).await;
    provider.allow(&id).await;
    for _ in 0..2 {
        assert_eq!(provider.poll(&id).await.refusal(), (500, "server_error"));
    }
    std::fs::write(&file, "").unwrap();
    let answer = provider.poll(&id).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.claims("access_token")["tier"], 2);
    assert!(answer.claims("id_token").get("tier").is_none());
    let token = answer.text("refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
    let refreshed = provider.form_as("agent", "/oauth2/token", &form).await;
    assert_eq!(refreshed.claims("access_token")["tier"], 2);
    assert_eq!(provider.poll(&id).await.refusal(), (400, "invalid_grant"));
}

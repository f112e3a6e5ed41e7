//! Dynamic registration (C-040, C-041, C-053).

use reqwest::Response;
use serde_json::{Value, json};

use super::{INITIAL, json as read, site};
use crate::kit::browser::http;
use crate::kit::idp::Idp;
use crate::kit::server::Server;
use crate::kit::site::Site;

const CIBA: &str = "urn:openid:params:grant-type:ciba";

fn poll() -> Value {
    json!({
        "client_name": "Reports", "grant_types": [format!(" {CIBA} "), "refresh_token"],
        "backchannel_token_delivery_mode": "poll",
    })
}

async fn register(server: &Server, token: Option<&str>, metadata: &Value) -> Response {
    let request = http()
        .post(format!("{}/oauth2/register", server.url))
        .json(metadata);
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await.unwrap()
}

#[tokio::test]
async fn c_040_registration_needs_the_initial_access_token() {
    let server = site().start().await;
    let missing = register(&server, None, &poll()).await;
    assert_eq!(missing.headers()["www-authenticate"], "Bearer");
    assert_eq!(missing.headers()["cache-control"], "no-store");
    let (status, body) = read(missing).await;
    assert_eq!((status, &body["error"]), (401, &json!("invalid_token")));
    for wrong in ["another-token", "", &format!("{INITIAL} "), &INITIAL[1..]] {
        let refused = register(&server, Some(wrong), &poll()).await;
        // The space behind a header's value is not part of it.
        if wrong.trim() == INITIAL {
            assert_eq!(refused.status(), 201);
            continue;
        }
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with("Bearer"), "{challenge}");
        let (status, body) = read(refused).await;
        assert_eq!(
            (status, &body["error"]),
            (401, &json!("invalid_token")),
            "{wrong}"
        );
    }
    assert_eq!(register(&server, Some(INITIAL), &poll()).await.status(), 201);
    server.stop().await;
}

#[tokio::test]
async fn c_040_registration_is_open_or_off_as_configured() {
    let server = site().with("OAUTH__REGISTRATION", "open").start().await;
    assert_eq!(register(&server, None, &poll()).await.status(), 201);
    server.stop().await;
    let idp = Idp::start().await;
    let without_token = Site::new(&idp.issuer).start().await;
    assert_eq!(
        register(&without_token, Some(INITIAL), &poll()).await.status(),
        404
    );
    without_token.stop().await;
    let off = site().with("OAUTH__REGISTRATION", "off").start().await;
    assert_eq!(register(&off, Some(INITIAL), &poll()).await.status(), 404);
    off.stop().await;
}

#[tokio::test]
async fn c_041_c_053_the_answer_has_all_metadata_as_it_stands_and_a_secret_once() {
    let mut site = site();
    let server = site.start().await;
    let answer = register(&server, Some(INITIAL), &poll()).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let (status, client) = read(answer).await;
    assert_eq!(status, 201);
    for (member, value) in [
        ("client_name", json!("Reports")),
        ("grant_types", json!([CIBA, "refresh_token"])),
        ("backchannel_token_delivery_mode", json!("poll")),
        ("backchannel_user_code_parameter", json!(false)),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("id_token_signed_response_alg", json!("RS256")),
        ("client_secret_expires_at", json!(0)),
    ] {
        assert_eq!(client[member], value, "{member}");
    }
    assert!(client["client_id_issued_at"].as_u64().unwrap() > 1_700_000_000);
    let secret = client["client_secret"].as_str().unwrap();
    assert_eq!(secret.len(), 43, "256 bits in base64url");
    for absent in [
        "registration_access_token",
        "registration_client_uri",
        "terms",
        "secret",
    ] {
        assert!(client.get(absent).is_none(), "{absent}");
    }
    let (_, other) = read(register(&server, Some(INITIAL), &poll()).await).await;
    assert_ne!(
        (&client["client_id"], &client["client_secret"]),
        (&other["client_id"], &other["client_secret"])
    );
    let log = server.stop().await;
    assert!(!log.contains(secret) && !log.contains(INITIAL), "C-407");
    for (file, bytes) in site.dump() {
        let holds = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!holds, "C-074: the secret is in {file}");
    }
}

#[tokio::test]
async fn c_041_a_client_that_signs_gets_no_secret() {
    let server = site().start().await;
    let mut metadata = poll();
    metadata["token_endpoint_auth_method"] = json!("private_key_jwt");
    metadata["jwks_uri"] = json!("https://client.example/jwks");
    let (status, client) = read(register(&server, Some(INITIAL), &metadata).await).await;
    assert_eq!(status, 201);
    assert!(client.get("client_secret").is_none() && client.get("client_secret_expires_at").is_none());
    assert_eq!(client["jwks_uri"], "https://client.example/jwks");
    server.stop().await;
}

#[tokio::test]
async fn c_042_c_051_what_cannot_be_registered_has_its_code() {
    let server = site().start().await;
    for (member, value, code) in [
        (
            "backchannel_token_delivery_mode",
            json!("pull"),
            "invalid_client_metadata",
        ),
        (
            "token_endpoint_auth_method",
            json!("none"),
            "invalid_client_metadata",
        ),
        ("subject_type", json!("pairwise"), "invalid_client_metadata"),
        ("redirect_uris", json!(["/relative"]), "invalid_redirect_uri"),
    ] {
        let mut metadata = poll();
        metadata[member] = value;
        let (status, body) = read(register(&server, Some(INITIAL), &metadata).await).await;
        assert_eq!((status, &body["error"]), (400, &json!(code)), "{member}");
        let description = body["error_description"].as_str().unwrap();
        assert!(description.starts_with(member), "C-004: {description}");
        assert_eq!(body.as_object().unwrap().len(), 2);
    }
    server.stop().await;
}

#[tokio::test]
async fn c_005_c_006_the_endpoint_takes_a_json_object_by_post_alone() {
    let server = site().start().await;
    let url = format!("{}/oauth2/register", server.url);
    let other = http().get(&url).send().await.unwrap();
    assert_eq!(
        (other.status().as_u16(), &other.headers()["allow"]),
        (405, &"POST".parse().unwrap())
    );
    for (kind, body, status) in [
        (
            "application/x-www-form-urlencoded",
            "client_name=x".to_owned(),
            400,
        ),
        ("application/json", "[]".to_owned(), 400),
        ("application/json", "{".to_owned(), 400),
        (
            "application/json",
            format!("{{\"x\":\"{}\"}}", "x".repeat(65 * 1024)),
            413,
        ),
    ] {
        let request = http()
            .post(&url)
            .bearer_auth(INITIAL)
            .header("content-type", kind);
        let (told, body) = read(request.body(body).send().await.unwrap()).await;
        assert_eq!(
            (told, &body["error"]),
            (status, &json!("invalid_request")),
            "{kind}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn c_405_one_address_registers_so_many_clients_a_minute() {
    let server = site().with("OAUTH__REGISTRATIONS_PER_MINUTE", "2").start().await;
    for token in [Some(INITIAL), None] {
        assert_ne!(register(&server, token, &poll()).await.status(), 429);
    }
    let busy = register(&server, Some(INITIAL), &poll()).await;
    assert!(
        busy.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
    let (status, body) = read(busy).await;
    assert_eq!((status, &body["error"]), (429, &json!("temporarily_unavailable")));
    server.stop().await;
}

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

/// Asks for a token of the client's own.
async fn token(server: &Server, client: &Value, with: &[(&str, &str)]) -> (u16, Value) {
    let [id, secret] = ["client_id", "client_secret"].map(|member| client[member].as_str().unwrap());
    let form = [&[("grant_type", "client_credentials")], with].concat();
    let request = http().post(format!("{}/oauth2/token", server.url));
    let request = request.basic_auth(id, Some(secret)).form(&form);
    read(request.send().await.unwrap()).await
}

const POWERS: &str =
    "[oauth]\nscopes = [\"openid\", \"email\", \"payments\"]\nresources = [\"https://api.example\"]\n";

#[tokio::test]
async fn c_051_a_client_that_registers_itself_has_no_more_than_it_names() {
    let mut site = site()
        .and(POWERS)
        .and("[[user]]\nsub = \"alice-1\"\nemail = \"alice@example.com\"");
    let server = site.start().await;
    let (_, client) = read(register(&server, Some(INITIAL), &poll()).await).await;
    assert_eq!(
        client["scope"], "openid email",
        "C-041: what the server filled in"
    );
    let [id, secret] = ["client_id", "client_secret"].map(|member| client[member].as_str().unwrap());
    for (with, expected) in [
        (("scope", "openid email"), (200, Value::Null)),
        (("scope", "openid payments"), (400, json!("invalid_scope"))),
        (
            ("resource", "https://api.example"),
            (400, json!("invalid_target")),
        ),
    ] {
        let mut form = vec![("login_hint", "alice@example.com"), with];
        form.extend((with.0 != "scope").then_some(("scope", "openid")));
        let request = http().post(format!("{}/oauth2/bc-authorize", server.url));
        let request = request.basic_auth(id, Some(secret)).form(&form);
        let (status, mut body) = read(request.send().await.unwrap()).await;
        assert_eq!((status, body["error"].take()), expected, "{with:?}");
    }
    let mut named = poll();
    named["scope"] = json!("openid payments");
    let (_, client) = read(register(&server, Some(INITIAL), &named).await).await;
    assert_eq!(client["scope"], "openid payments");
    server.stop().await;
}

#[tokio::test]
async fn c_040_a_client_that_registers_itself_acts_for_itself_only_where_the_operator_says_so() {
    let machine = json!({ "grant_types": ["client_credentials"] });
    let mut site = site().and(POWERS);
    let server = site.start().await;
    let (status, body) = read(register(&server, Some(INITIAL), &machine).await).await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_client_metadata")));
    assert!(
        body["error_description"]
            .as_str()
            .unwrap()
            .starts_with("grant_types")
    );
    server.stop().await;
    let switch = "OAUTH__REGISTRATION_CLIENT_CREDENTIALS";
    let mut site = site.with(switch, "true");
    let server = site.start().await;
    let (status, client) = read(register(&server, Some(INITIAL), &machine).await).await;
    assert_eq!(status, 201);
    let (status, answer) = token(&server, &client, &[]).await;
    assert_eq!((status, &answer["scope"]), (200, &json!("email")));
    let resource = [("resource", "https://api.example")];
    let (_, refused) = token(&server, &client, &resource).await;
    assert_eq!(refused["error"], "invalid_target");
    server.stop().await;
    // The operator gives the resource to all of them, and takes the grant back.
    let mut site = site.with("OAUTH__REGISTRATION_RESOURCES", "[\"https://api.example\"]");
    let server = site.start().await;
    assert_eq!(token(&server, &client, &resource).await.0, 200);
    server.stop().await;
    let mut site = site.with(switch, "false");
    let server = site.start().await;
    let (_, refused) = token(&server, &client, &[]).await;
    assert_eq!(refused["error"], "unauthorized_client");
    server.stop().await;
}

#[tokio::test]
async fn c_040_no_more_clients_register_than_the_operator_has_room_for() {
    let server = site().with("OAUTH__REGISTRATION_LIMIT", "3").start().await;
    let metadata = poll();
    let five = (0..5).map(|_| register(&server, Some(INITIAL), &metadata));
    let mut statuses = Vec::new();
    for answer in futures_util::future::join_all(five).await {
        let is_full = answer.status() == 429;
        assert_eq!(answer.headers().contains_key("retry-after"), is_full);
        let (status, body) = read(answer).await;
        assert!(!is_full || body["error"] == "temporarily_unavailable", "{body}");
        statuses.push(status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 201, 429, 429]);
    let log = server.stop().await;
    assert!(log.contains("registration_limit"), "{log}");
}

#[tokio::test]
async fn c_049_of_a_key_set_nothing_is_kept_but_the_keys_that_are_of_use() {
    let mut site = site();
    let server = site.start().await;
    let key = crate::kit::signer::Signer::new(jsonwebtoken::Algorithm::ES256).set()["keys"][0].clone();
    let mut more = key.clone();
    more["note"] = json!({ "deep": ["a text of the client's own"] });
    let mut metadata = poll();
    metadata["token_endpoint_auth_method"] = json!("private_key_jwt");
    metadata["jwks"] =
        json!({ "keys": [more, { "kty": "AKP", "pub": "AAAA" }], "more": "a text of the client's own" });
    let (status, client) = read(register(&server, Some(INITIAL), &metadata).await).await;
    assert_eq!((status, &client["jwks"]), (201, &json!({ "keys": [key] })));
    server.stop().await;
    for (file, bytes) in site.dump() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("a text of the client's own"), "{file}");
    }
}

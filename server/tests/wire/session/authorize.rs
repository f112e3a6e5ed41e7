//! D-001 … D-005: a device begins a session, and what becomes of one that no person signs in to.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::kit::browser::{Browser, http};
use crate::kit::idp::Idp;
use crate::kit::leak::assert_unsaid;
use crate::kit::link::Link;
use crate::kit::server::Server;
use crate::kit::session::{Session, UNKNOWN};
use crate::kit::site::Site;
use crate::kit::socket::Raw;
use crate::kit::until;

/// A verifier that is well-formed; its challenge is unknown.
const VERIFIER: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

async fn post(server: &Server, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
    let request = http().post(format!("{}/auth/par/authorize", server.url));
    let request = request.header("content-type", "application/json").body(body);
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn d_001_a_seed_client_begins_with_a_query_that_no_log_holds() {
    let server = Server::dev().await;
    let secret = [0xc5; 32];
    let challenge = device_proto::Challenge::new(&secret).expose().to_string();
    let url = format!(
        "{}/auth/par/authorize?challenge={challenge}&resource=urn:d:other",
        server.url
    );
    let response = http().get(url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let session = Session::of(secret, response.json().await.unwrap());
    assert_eq!(session.url(), format!("{}/login/{}", server.url, session.id));
    let link = Link::connect(&server, &session).await;
    assert_eq!(link.session["status"], "pending");
    assert_unsaid(&server.stop().await, &[&challenge, "challenge=", "urn:d:other"]);
}

#[tokio::test]
async fn d_002_the_challenge_proves_what_only_its_verifier_began() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    let link = Link::connect(&server, &session).await;
    assert_eq!(link.session["status"], "pending");
    assert!(session.id.as_str().len() >= 22, "128 bits");
    let verifier = session.challenge().verifier().to_string();
    assert_unsaid(&server.stop().await, &[&session.challenge_text(), &verifier]);
}

#[tokio::test]
async fn d_003_the_answer_has_a_code_to_compare_and_a_lifetime() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    assert_eq!(session.begun["expiresIn"], 600);
    let code = session.begun["userCode"].as_str().unwrap();
    let (first, second) = code.split_once('-').unwrap();
    for half in [first, second] {
        assert!(
            half.len() == 4 && half.chars().all(|c| "BCDFGHJKLMNPQRSTVWXZ".contains(c)),
            "{code}"
        );
    }
    assert_ne!(Session::begin(&server).await.begun["userCode"], code);
    server.stop().await;
}

#[tokio::test]
async fn d_004_what_is_malformed_is_an_invalid_request_that_is_not_quoted() {
    let server = Server::dev().await;
    let long = "x".repeat(81);
    for body in [
        json!({}),
        json!({ "verifier": "" }),
        json!({ "verifier": &VERIFIER[1..] }),
        json!({ "verifier": format!("{VERIFIER}=") }),
        json!({ "verifier": VERIFIER.replace('A', "+") }),
        json!({ "verifier": 7 }),
        json!({ "verifier": VERIFIER, "deviceName": long }),
        json!({ "verifier": VERIFIER, "sessionName": long }),
        json!({ "verifier": VERIFIER, "deviceName": "a\u{1b}[2Jb" }),
        json!({ "verifier": VERIFIER, "deviceName": "a\nb" }),
        json!([VERIFIER]),
    ] {
        let (status, answer) = post(&server, body.to_string()).await;
        assert_eq!(
            (status.as_u16(), &answer["error"]),
            (400, &json!("invalid_request")),
            "{body}"
        );
        let description = answer["error_description"].as_str().unwrap();
        assert!(
            !description.contains(&long) && !description.contains(&VERIFIER[1..]),
            "{description}"
        );
    }
    for query in ["", "?challenge=", "?challenge=short", "?resource=urn:d:x"] {
        let response = http()
            .get(format!("{}/auth/par/authorize{query}", server.url))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 400, "{query}");
        assert_eq!(
            response.json::<Value>().await.unwrap()["error"],
            "invalid_request"
        );
    }
    let (status, _) = post(&server, "{").await;
    assert_eq!(status, 400);
    let name = "é".repeat(80);
    let (status, _) = post(
        &server,
        json!({ "verifier": VERIFIER, "deviceName": name }).to_string(),
    )
    .await;
    assert_eq!(status, 200, "80 characters, however many bytes");
    server.stop().await;
}

#[tokio::test]
async fn d_004_an_unknown_resource_is_an_invalid_target() {
    let server = Server::dev().await;
    for resource in [
        UNKNOWN,
        "urn:d:",
        "https://x.example",
        "",
        &format!("urn:d:{}", "x".repeat(512)),
    ] {
        let (status, answer) = post(
            &server,
            json!({ "verifier": VERIFIER, "resource": resource }).to_string(),
        )
        .await;
        assert_eq!(
            (status.as_u16(), &answer["error"]),
            (400, &json!("invalid_target")),
            "{resource}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn d_004_a_body_over_64_kib_is_too_large() {
    let server = Server::dev().await;
    let body = json!({ "verifier": VERIFIER, "x": "x".repeat(64 * 1024) });
    let (status, answer) = post(&server, body.to_string()).await;
    assert_eq!(
        (status.as_u16(), &answer["error"]),
        (413, &json!("invalid_request"))
    );
    server.stop().await;
}

#[tokio::test]
async fn d_004_too_many_from_one_address_are_told_when_to_come_back() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer).with("LIMITS__LOGINS_PER_MINUTE", "3");
    let server = site.start().await;
    for _ in 0..3 {
        Session::begin(&server).await;
    }
    let request = http().post(format!("{}/auth/par/authorize", server.url));
    let response = request
        .json(&json!({ "verifier": VERIFIER }))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 429);
    let wait: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(response.json::<Value>().await.unwrap()["error"], "slow_down");
    server.stop().await;
}

/// Waits: see [`super::deadlines`].
pub(super) async fn d_005_a_login_that_nobody_comes_to_ends_everywhere() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer).with("LIMITS__LOGIN_EXPIRES_IN", "5");
    let server = site.start().await;
    let session = Session::begin(&server).await;
    assert_eq!(session.begun["expiresIn"], 5);
    let mut link = Link::connect(&server, &session).await;
    link.until_status("failed").await;
    assert_eq!(link.session["error"], "expired_token");
    assert_eq!(link.closed().await, 1000);
    assert_eq!(link.over, Some(device_proto::device::Disconnect::Closed));

    let page = Browser::new().get(session.url()).await;
    assert_eq!((page.status.as_u16(), page.outcome()), (410, "expired"));
    let mut again = Raw::connect(&server).await;
    let unknown = Session {
        id: "unknown".parse().unwrap(),
        ..session_like(&session)
    };
    again.send_all(session.handshake()).await;
    let denied = again.frame().await;
    again.send_all(unknown.handshake()).await;
    assert_eq!(
        again.frame().await.len(),
        denied.len() - session.id.as_str().len() + "unknown".len()
    );
    server.stop().await;
    // A server sweeps as soon as it runs; the record is physically gone then.
    let server = site.start().await;
    until("the record to be swept", async || {
        site.record(&session).await.is_none().then_some(())
    })
    .await;
    server.stop().await;
}

/// Waits: see [`super::deadlines`].
pub(super) async fn d_005_one_socket_with_several_expired_sessions_is_closed() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer).with("LIMITS__LOGIN_EXPIRES_IN", "5");
    let server = site.start().await;
    let mut raw = Raw::connect(&server).await;
    for _ in 0..3 {
        raw.send_all(Session::begin(&server).await.handshake()).await;
    }
    assert_eq!(raw.closed().await, 1000);
    server.stop().await;
}

fn session_like(session: &Session) -> Session {
    Session::of(session.secret, session.begun.clone())
}

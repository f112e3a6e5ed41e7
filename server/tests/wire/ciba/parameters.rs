//! What a client may ask for, and how its request is acknowledged (C-100 … C-118, C-140 … C-144).

use crate::kit::ciba::{Answer, NO_LIMITS, Provider, Table, client, site};
use crate::kit::site::Site;
use crate::kit::{in_time, until};

/// A server on which no limit is reached.
fn open(ciba: &str) -> Site {
    site(&format!("{ciba}\n{NO_LIMITS}"))
}

const BAD: (u16, &str) = (400, "invalid_request");
const GOOD: (u16, &str) = (200, "");

#[tokio::test]
async fn c_100_c_101_c_102_a_scope_has_openid_and_what_the_client_may_have() {
    let only_mail = client("mail", "scope = \"openid email\"");
    let provider = Provider::start(open("").and(only_mail)).await;
    let bad = (400, "invalid_scope");
    provider
        .table(&[
            ("C-100: absent", &[("scope", "")], BAD),
            ("C-101: no openid", &[("scope", "profile")], bad),
            ("C-101: another case", &[("scope", "OpenID")], bad),
            ("C-101: spaces alone", &[("scope", "  ")], bad),
            ("C-102: unknown", &[("scope", "openid admin")], bad),
            ("C-102: a tab", &[("scope", "openid\tprofile")], bad),
            ("C-102: a line", &[("scope", "openid\nprofile")], bad),
            ("C-102: a quotation mark", &[("scope", "openid \"profile\"")], bad),
            ("C-102: another script", &[("scope", "openid prófile")], bad),
            ("C-102: two spaces", &[("scope", " openid  profile ")], GOOD),
            ("C-102: another order", &[("scope", "profile openid")], GOOD),
        ])
        .await;
    let mut table = Table::default();
    for (scope, expected) in [("openid email", GOOD), ("openid profile", bad)] {
        let answer = provider.ask_as("mail", &[("scope", scope)]).await;
        table.row(scope, &answer, expected);
    }
    table.end();
    let id = provider
        .asked(&[("scope", "profile openid profile openid")])
        .await;
    assert_eq!(provider.verify(&id).await.text("scope"), "profile openid");
}

#[tokio::test]
async fn c_103_a_notification_token_is_a_bearer_token_of_ping_and_push_clients() {
    let modes = "modes = [\"poll\", \"ping\", \"push\"]";
    let mode = |mode: &str| {
        client(
            mode,
            &format!(
                "backchannel_token_delivery_mode = \"{mode}\"\n\
                 backchannel_client_notification_endpoint = \"http://127.0.0.1:9/cb\""
            ),
        )
    };
    let more = format!("{}{}", mode("ping"), mode("push"));
    let provider = Provider::start(open(modes).and(more)).await;
    let (longest, too_long) = ("x".repeat(1024), "x".repeat(1025));
    let mut table = Table::default();
    for (token, expected) in [
        ("", BAD),
        ("a", GOOD),
        ("AZaz09-._~+/==", GOOD),
        (&*longest, GOOD),
        (&*too_long, BAD),
        ("=", BAD),
        ("a=b", BAD),
        ("a b", BAD),
        ("a,b", BAD),
        ("a\r\nX: y", BAD),
        ("ä", BAD),
    ] {
        let with = [("client_notification_token", token)];
        for client in ["ping", "push"] {
            let answer = provider.ask_as(client, &with).await;
            table.row(&format!("{client}: {token}"), &answer, expected);
        }
        let ignored = provider.ask(&with).await;
        table.row(&format!("poll: {token}"), &ignored, GOOD);
    }
    table.end();
    let log = provider.server.stop().await;
    assert!(log.contains("less than 128 bits"), "{log}");
}

#[tokio::test]
async fn c_105_a_binding_message_is_shown_as_it_is_or_refused() {
    let provider = Provider::start(open("")).await;
    let bad = (400, "invalid_binding_message");
    let emoji = "👍".repeat(256);
    let mut table = Table::default();
    for message in ["1234", "W4SCT", "Zoë – 支払い 👩‍👩‍👧 שלום \"\\<b>", &emoji] {
        let answer = provider.ask(&[("binding_message", message)]).await;
        table.row(message, &answer, GOOD);
        let shown = provider.verify(&answer.text("auth_req_id")).await;
        assert_eq!(shown.text("binding_message"), message);
    }
    for message in [
        "a".repeat(257),
        "👍".repeat(257),
        // The message of the conformance suite that is potentially bad.
        "1234👍🏿品川".repeat(60),
        "a\nb".into(),
        "a\rb".into(),
        "a\tb".into(),
        "a\0b".into(),
        "a\u{7f}b".into(),
        "a\u{85}b".into(),
        "a\u{2028}b".into(),
        "a\u{2029}b".into(),
        "a\u{202e}b".into(),
        "a\u{2066}b".into(),
        "a\u{200f}b".into(),
        "a\u{61c}b".into(),
        // Nothing of it is seen.
        " ".into(),
        "\u{200b}\u{200d}".into(),
        "\u{3164}\u{e0041}".into(),
    ] {
        let answer = provider.ask(&[("binding_message", &message)]).await;
        table.row(&message, &answer, bad);
    }
    table.end();
    // An empty one counts as absent.
    let id = provider.asked(&[("binding_message", "")]).await;
    assert!(provider.verify(&id).await.body["binding_message"].is_null());
}

#[tokio::test]
async fn c_106_a_binding_message_is_needed_where_the_operator_says_so() {
    let of_one = client("strict", "terms = { require_binding_message = true }");
    let provider = Provider::start(open("").and(of_one)).await;
    assert_eq!(provider.ask_as("strict", &[]).await.refusal(), BAD);
    let given = [("binding_message", "1234")];
    assert_eq!(provider.ask_as("strict", &given).await.status, 200);
    assert_eq!(provider.ask(&[]).await.status, 200);
    let provider = Provider::start(open("require_binding_message = true")).await;
    assert_eq!(provider.ask(&[]).await.refusal(), BAD);
    assert_eq!(provider.ask(&[("binding_message", "")]).await.refusal(), BAD);
    assert_eq!(provider.ask(&given).await.status, 200);
}

#[tokio::test]
async fn c_108_an_expiry_is_a_positive_integer_and_only_shortens() {
    let provider = Provider::start(open("expires_in = 120")).await;
    for (asked, lifetime) in [
        ("10", 10),
        ("119", 119),
        ("120", 120),
        ("121", 120),
        ("999999999", 120),
        ("007", 7),
        ("", 120),
    ] {
        let answer = provider.ask(&[("requested_expiry", asked)]).await;
        assert_eq!(answer.body["expires_in"], lifetime, "{asked}: {answer:?}");
    }
    let mut table = Table::default();
    for asked in [
        "0",
        "000",
        "-1",
        "+1",
        "1.0",
        "1e2",
        " 1",
        "1 ",
        "1000000000",
        "x",
        "0x1",
        "١",
    ] {
        let answer = provider.ask(&[("requested_expiry", asked)]).await;
        table.row(asked, &answer, BAD);
    }
    table.end();
}

#[tokio::test]
async fn c_109_unsatisfied_acr_values_are_no_error() {
    let provider = Provider::start(open("acr_values = [\"urn:mfa\"]")).await;
    let longest = "a".repeat(1024);
    provider
        .table(&[
            ("unknown", &[("acr_values", "urn:none urn:other")], GOOD),
            ("known", &[("acr_values", "urn:mfa")], GOOD),
            ("longest", &[("acr_values", &longest)], GOOD),
            ("too long", &[("acr_values", &format!("{longest}a"))], BAD),
        ])
        .await;
}

#[tokio::test]
async fn c_111_a_resource_is_a_known_uri_and_reaches_the_token() {
    let oauth = "[oauth]\nresources = [\"https://api.example\", \"https://hr.example\", \"urn:a#b\"]\n";
    let of_one = client("api", "terms = { resources = [\"https://api.example\"] }");
    let provider = Provider::start(open("").and(oauth).and(of_one)).await;
    let bad = (400, "invalid_target");
    provider
        .table(&[
            ("known", &[("resource", "https://api.example")], GOOD),
            ("unknown", &[("resource", "https://other.example")], bad),
            ("a slash more", &[("resource", "https://api.example/")], bad),
            ("a fragment", &[("resource", "https://api.example#a")], bad),
            ("a known one with a fragment", &[("resource", "urn:a#b")], bad),
            ("relative", &[("resource", "/api")], bad),
            ("empty", &[("resource", "")], GOOD),
            (
                "one of two unknown",
                &[("resource", "https://api.example"), ("resource", "urn:x")],
                bad,
            ),
        ])
        .await;
    let other = [("resource", "https://hr.example")];
    assert_eq!(provider.ask_as("api", &other).await.refusal(), bad);
    let both = [
        ("resource", "https://hr.example"),
        ("resource", "https://api.example"),
    ];
    let id = provider.asked(&both).await;
    provider.allow(&id).await;
    let audience = provider.poll(&id).await.claims("access_token")["aud"].take();
    assert_eq!(
        audience,
        serde_json::json!(["https://hr.example", "https://api.example"])
    );
}

#[tokio::test]
async fn c_112_c_118_a_request_context_and_a_clients_attestation_are_ignored() {
    let provider = Provider::start(open("")).await;
    for context in ["{}", "nonsense", "[1]"] {
        assert_eq!(provider.ask(&[("request_context", context)]).await.status, 200);
    }
    let attested = provider
        .post("/oauth2/bc-authorize")
        .basic_auth("agent", Some(crate::kit::ciba::SECRET))
        .header("OAuth-Client-Attestation", "x.y.z")
        .header("OAuth-Client-Attestation-PoP", "x.y.z")
        .form(&crate::kit::ciba::ASK);
    assert_eq!(Answer::of(attested).await.status, 200);
}

#[tokio::test]
async fn c_113_agent_claims_are_shown_and_their_agent_reaches_the_token() {
    let provider = Provider::start(open("")).await;
    let size = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    let (largest, too_large) = (size(4096), size(4097));
    provider
        .table(&[
            ("largest", &[("agent_claims", &largest)], GOOD),
            ("too large", &[("agent_claims", &too_large)], BAD),
            ("no JSON", &[("agent_claims", "{")], BAD),
            ("a list", &[("agent_claims", "[]")], BAD),
            ("a text", &[("agent_claims", "\"a\"")], BAD),
            ("null", &[("agent_claims", "null")], BAD),
            (
                "named twice",
                &[("agent_claims", "{\"agent\":\"a\",\"agent\":\"b\"}")],
                BAD,
            ),
        ])
        .await;
    let claims = r#"{"agent":{"name":"bot"},"why":"test"}"#;
    let id = provider.asked(&[("agent_claims", claims)]).await;
    let shown = provider.verify(&id).await;
    assert_eq!(shown.body["agent_claims"]["why"], "test");
    provider.allow(&id).await;
    let token = provider.poll(&id).await.claims("access_token");
    assert_eq!(token["agent"]["name"], "bot");
    assert!(token.get("why").is_none());
}

#[tokio::test]
async fn c_114_a_notification_uri_is_refused_unless_it_is_the_endpoints_neighbour_and_allowed() {
    let ping = |id: &str, more: &str| {
        client(
            id,
            &format!(
                "backchannel_token_delivery_mode = \"ping\"\n\
                 backchannel_client_notification_endpoint = \"http://127.0.0.1:9/cb\"\n{more}"
            ),
        )
    };
    let allowed = "terms = { client_notification_uri = true }";
    let clients = format!(
        "{}{}{}",
        ping("ping", ""),
        ping("free", allowed),
        client("poll", allowed)
    );
    let provider = Provider::start(open("modes = [\"poll\", \"ping\"]").and(clients)).await;
    let mut table = Table::default();
    for (client, uri, expected) in [
        ("free", "http://127.0.0.1:9/other?x=y", GOOD),
        ("free", "http://127.0.0.1:10/cb", BAD),
        ("free", "https://127.0.0.1:9/cb", BAD),
        ("free", "http://localhost:9/cb", BAD),
        ("free", "http://me@127.0.0.1:9/cb", BAD),
        ("free", "http://127.0.0.1:9/cb#a", BAD),
        ("free", "/cb", BAD),
        ("ping", "http://127.0.0.1:9/cb", BAD),
        ("agent", "https://agent.example/cb", BAD),
        ("poll", "http://127.0.0.1:9/cb", BAD),
    ] {
        let with = [
            ("client_notification_uri", uri),
            ("client_notification_token", "a-token-of-many-characters"),
        ];
        let answer = provider.ask_as(client, &with).await;
        table.row(&format!("{client}: {uri}"), &answer, expected);
    }
    table.end();
}

#[tokio::test]
async fn c_115_c_116_a_request_by_reference_and_a_registration_are_refused() {
    let provider = Provider::start(open("")).await;
    provider
        .table(&[
            ("request_uri", &[("request_uri", "https://agent.example/r")], BAD),
            ("registration", &[("registration", "{}")], BAD),
            ("request", &[("request", "a.b.c")], BAD),
            ("empty", &[("request_uri", ""), ("registration", "")], GOOD),
        ])
        .await;
}

#[tokio::test]
async fn c_117_c_140_the_mode_is_the_registered_one_and_push_has_no_interval() {
    let of_mode = |mode: &str| {
        client(
            mode,
            &format!(
                "backchannel_token_delivery_mode = \"{mode}\"\n\
                 backchannel_client_notification_endpoint = \"http://127.0.0.1:9/cb\""
            ),
        )
    };
    let modes = "modes = [\"poll\", \"ping\", \"push\"]\ninterval = 7";
    let more = format!("{}{}", of_mode("ping"), of_mode("push"));
    let provider = Provider::start(open(modes).and(more)).await;
    let token = [("client_notification_token", "a-token-of-many-characters")];
    for (client, interval) in [("agent", true), ("ping", true), ("push", false)] {
        let answer = provider.ask_as(client, &token).await;
        assert_eq!(answer.status, 200, "{client}: {answer:?}");
        let body = answer.body.as_object().unwrap();
        let expected = if interval { 3 } else { 2 };
        assert_eq!(
            (body.len(), body.contains_key("interval")),
            (expected, interval),
            "{client}"
        );
        assert!(!interval || body["interval"] == 7);
        let polled = provider.poll_as(client, &answer.text("auth_req_id")).await;
        let code = if interval {
            "authorization_pending"
        } else {
            "unauthorized_client"
        };
        assert_eq!(polled.refusal(), (400, code), "{client}");
    }
}

#[tokio::test]
async fn c_141_c_142_the_acknowledgement_has_an_unguessable_id_and_positive_integers() {
    let provider = Provider::start(open("")).await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let answer = provider.ask(&[]).await;
        assert_eq!(answer.is_well_formed(), Ok(()));
        let id = answer.text("auth_req_id");
        assert_eq!(id.len(), 43);
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        );
        assert!(seen.insert(id));
        assert_eq!(answer.body["expires_in"].as_u64(), Some(300));
        assert_eq!(answer.body["interval"].as_u64(), Some(5));
    }
}

#[tokio::test]
async fn c_143_an_acknowledged_request_is_stored() {
    let provider = Provider::start(open("")).await;
    let answer = provider.ask(&[("requested_expiry", "100")]).await;
    let id = answer.text("auth_req_id");
    let provider = provider.crash().await;
    assert_eq!(provider.poll(&id).await.refusal(), (400, "authorization_pending"));
    assert_eq!(provider.verify(&id).await.text("status"), "pending");
}

#[tokio::test]
async fn c_144_telling_the_person_neither_delays_nor_fails_the_answer() {
    let failing = "[ciba.notify]\ncommand = [\"/no/such/program\"]\n";
    let mut provider = Provider::start(open(failing)).await;
    assert_eq!(provider.ask(&[]).await.status, 200);
    provider.server.until_said("a person could not be told").await;
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("told");
    let slow = format!(
        "[ciba.notify]\ncommand = [\"/bin/sh\", \"-c\", \"echo > {0}; while [ -e {0} ]; do sleep 0.05; done\"]\n",
        mark.display()
    );
    let provider = Provider::start(open(&slow)).await;
    // The program ends only after the answer was seen.
    assert_eq!(in_time(provider.ask(&[])).await.status, 200);
    until("the program began", async || mark.exists().then_some(())).await;
    std::fs::remove_file(mark).unwrap();
}

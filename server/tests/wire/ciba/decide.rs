//! A person decides, on a page of the operator's own (C-224 … C-236, C-054).

use reqwest::header::{CONTENT_TYPE, HOST, ORIGIN};
use serde_json::json;

use crate::kit::browser::http;
use crate::kit::ciba::{Answer, Provider, site, site_at};
use crate::kit::endpoint::{Endpoint, TOKEN};
use crate::kit::idp::Idp;
use crate::kit::person::Person;
use crate::kit::server::Server;
use crate::kit::stand_in::Reply;
use crate::kit::until;

const BOTH: [&str; 2] = ["/ciba/authorize", "/ciba/reject"];

/// A provider at which alice is signed in.
async fn with_alice() -> (Idp, Provider, Person) {
    let idp = Idp::start().await;
    let provider = Provider::start(site_at(&idp.issuer, "")).await;
    let alice = Person::sign_in(&idp, &provider, "alice-1").await;
    (idp, provider, alice)
}

#[tokio::test]
async fn c_224_a_decision_needs_a_person_who_is_signed_in_and_an_id() {
    let (_idp, provider, alice) = with_alice().await;
    let id = provider.asked(&[]).await;
    let body = json!({ "auth_req_id": id });
    for path in BOTH {
        let nobody = provider.post(path).header(ORIGIN, &provider.server.url);
        assert_eq!(
            Answer::of(nobody.json(&body)).await.refusal(),
            (401, "login_required")
        );
        for bad in [
            json!({}),
            json!({ "auth_req_id": "" }),
            json!({ "auth_req_id": 1 }),
            json!([]),
        ] {
            let refused = alice.post(path, &bad).await;
            assert_eq!(refused.refusal(), (400, "invalid_request"), "{bad}");
        }
    }
    let approved = alice.approve(&id).await;
    assert_eq!(
        (approved.status.as_u16(), &approved.body),
        (200, &json!({ "success": true }))
    );
    assert_eq!(approved.headers["cache-control"], "no-store");
    assert_eq!(provider.poll(&id).await.status, 200);
}

#[tokio::test]
async fn c_225_only_the_person_who_is_asked_decides() {
    let (idp, provider, alice) = with_alice().await;
    let bob = Person::sign_in(&idp, &provider, "bob-2").await;
    let id = provider.asked(&[]).await;
    for refused in [bob.approve(&id).await, bob.reject(&id).await] {
        assert_eq!(refused.refusal(), (403, "access_denied"));
    }
    assert_eq!(alice.approve(&id).await.status, 200);
    for refused in [bob.approve(&id).await, bob.reject(&id).await] {
        assert_eq!(refused.refusal(), (403, "access_denied"));
    }
}

#[tokio::test]
async fn c_226_an_unknown_id_is_not_found() {
    let (_idp, _provider, alice) = with_alice().await;
    for path in BOTH {
        let refused = alice.post(path, &json!({ "auth_req_id": "unknown" })).await;
        assert_eq!(refused.refusal(), (404, "invalid_request"));
    }
}

#[tokio::test]
async fn c_227_what_was_decided_stays_decided_even_when_its_tokens_are_out() {
    let (_idp, provider, alice) = with_alice().await;
    let (approved, rejected) = (provider.asked(&[]).await, provider.asked(&[]).await);
    assert_eq!(alice.approve(&approved).await.status, 200);
    assert_eq!(alice.reject(&rejected).await.status, 200);
    let decided_again = async || {
        for id in [&approved, &rejected] {
            for refused in [alice.approve(id).await, alice.reject(id).await] {
                assert_eq!(refused.refusal(), (400, "invalid_request"));
            }
        }
    };
    decided_again().await;
    assert_eq!(provider.poll(&approved).await.status, 200);
    assert_eq!(provider.poll(&rejected).await.refusal(), (400, "access_denied"));
    decided_again().await;
}

#[tokio::test]
async fn c_228_an_expired_request_is_neither_approved_nor_rejected() {
    let (_idp, provider, alice) = with_alice().await;
    let id = provider.asked(&[("requested_expiry", "1")]).await;
    provider.until_expired(&id).await;
    for refused in [alice.approve(&id).await, alice.reject(&id).await] {
        assert_eq!(refused.refusal(), (400, "expired_token"));
    }
    assert_eq!(provider.poll(&id).await.refusal(), (400, "expired_token"));
}

#[tokio::test]
async fn c_229_c_223_c_054_a_disabled_clients_requests_are_dropped_in_every_mode() {
    let idp = Idp::start().await;
    let modes = "modes = [\"poll\", \"ping\", \"push\"]";
    let provider = Provider::start(site_at(&idp.issuer, modes)).await;
    let alice = Person::sign_in(&idp, &provider, "alice-1").await;
    let mut endpoint = Endpoint::good().await;
    let metadata = provider.site.config().with_file_name("client.json");
    let uri = json!({ "backchannel_client_notification_endpoint": endpoint.url() });
    std::fs::write(&metadata, uri.to_string()).unwrap();
    for mode in ["poll", "ping", "push"] {
        let more = [
            "--mode",
            mode,
            "--id",
            mode,
            "--json",
            "--metadata",
            metadata.to_str().unwrap(),
        ];
        let added = provider.admin("client add", &more).await;
        let secret = added["client_secret"].as_str().unwrap();
        let ask = async || {
            let form = [
                ("scope", "openid"),
                ("login_hint", "alice@example.com"),
                ("client_notification_token", TOKEN),
            ];
            let request = provider
                .post("/oauth2/bc-authorize")
                .basic_auth(mode, Some(secret));
            Answer::of(request.form(&form)).await
        };
        let ids = [ask().await, ask().await, ask().await].map(|answer| answer.text("auth_req_id"));
        provider.admin("client disable", &[mode]).await;
        assert_eq!(ask().await.refusal(), (401, "invalid_client"), "{mode}");
        let [approved, rejected, seen] = &ids;
        assert_eq!(
            alice.approve(approved).await.refusal(),
            (400, "invalid_request"),
            "{mode}"
        );
        assert_eq!(
            alice.reject(rejected).await.refusal(),
            (400, "invalid_request"),
            "{mode}"
        );
        assert_eq!(
            provider.verify(seen).await.refusal(),
            (400, "invalid_request"),
            "{mode}"
        );
        // They are gone, and stay so when the client is back.
        provider.admin("client enable", &[mode]).await;
        for id in &ids {
            assert_eq!(
                provider.verify(id).await.refusal(),
                (404, "invalid_request"),
                "{mode}"
            );
            assert_eq!(
                alice.approve(id).await.refusal(),
                (404, "invalid_request"),
                "{mode}"
            );
        }
    }
    provider.server.stop().await;
    assert_eq!(endpoint.count(), 0);
}

#[tokio::test]
async fn c_231_a_page_of_another_site_decides_nothing() {
    let (_idp, provider, alice) = with_alice().await;
    let id = provider.asked(&[]).await;
    let body = json!({ "auth_req_id": id }).to_string();
    let own = provider.server.url.clone();
    for path in BOTH {
        for (origin, content_type) in [
            (None, Some("application/json")),
            (Some("https://evil.test"), Some("application/json")),
            (Some("null"), Some("application/json")),
            (Some(&*format!("{own}.evil.test")), Some("application/json")),
            (Some(&*format!("{own}/")), Some("application/json")),
            (Some(&*own), None),
            (Some(&*own), Some("text/plain")),
            (Some(&*own), Some("application/x-www-form-urlencoded")),
            (Some(&*own), Some("application/json-patch+json")),
        ] {
            let mut request = alice.bare(path, body.clone());
            if let Some(origin) = origin {
                request = request.header(ORIGIN, origin);
            }
            if let Some(content_type) = content_type {
                request = request.header(CONTENT_TYPE, content_type);
            }
            let refused = Answer::of(request).await;
            assert_eq!(
                refused.refusal(),
                (403, "access_denied"),
                "{origin:?} {content_type:?}"
            );
        }
    }
    assert_eq!(provider.verify(&id).await.text("status"), "pending");
    let request = alice.bare(BOTH[0], body).header(ORIGIN, &own);
    let approved = Answer::of(request.header(CONTENT_TYPE, "Application/JSON; charset=utf-8")).await;
    assert_eq!(approved.status, 200);
}

#[tokio::test]
async fn c_232_a_decision_does_not_wait_for_the_client_to_be_told() {
    for mode in ["ping", "push"] {
        let mut endpoint = Endpoint::http([Reply::Silence]).await;
        let idp = Idp::start().await;
        let modes =
            "modes = [\"poll\", \"ping\", \"push\"]\n[ciba.deliver]\nping_retries = 0\npush_retries = 0";
        let site = site_at(&idp.issuer, modes).and(endpoint.client(mode, ""));
        let mut provider = Provider::start(site.with("OUTGOING__TIMEOUT", "3")).await;
        let alice = Person::sign_in(&idp, &provider, "alice-1").await;
        let asked = provider
            .ask_as(mode, &[("client_notification_token", TOKEN)])
            .await;
        assert_eq!(alice.approve(&asked.text("auth_req_id")).await.status, 200);
        endpoint.until(1).await;
        // The delivery is over only now; the decision was answered before.
        provider.server.until_said("a client could not be told").await;
    }
}

#[tokio::test]
async fn c_234_a_person_grants_a_part_and_the_client_gets_no_more() {
    let (_idp, provider, alice) = with_alice().await;
    let details = json!([{ "type": "read", "of": "mail" }, { "type": "write" }]);
    let with = [
        ("scope", "openid profile email"),
        ("authorization_details", &*details.to_string()),
    ];
    let id = provider.asked(&with).await;
    for (part, code) in [
        (json!({ "scope": "openid offline_access" }), "invalid_scope"),
        (json!({ "scope": ["email"] }), "invalid_scope"),
        (
            json!({ "authorization_details": [{ "type": "read" }] }),
            "invalid_authorization_details",
        ),
        (
            json!({ "authorization_details": "all" }),
            "invalid_authorization_details",
        ),
    ] {
        let mut body = part;
        body["auth_req_id"] = id.clone().into();
        assert_eq!(alice.post(BOTH[0], &body).await.refusal(), (400, code), "{body}");
    }
    let body = json!({
        "auth_req_id": id, "scope": "email", "authorization_details": [{ "of": "mail", "type": "read" }],
    });
    assert_eq!(alice.post(BOTH[0], &body).await.status, 200);
    let tokens = provider.poll(&id).await;
    assert_eq!(tokens.text("scope"), "openid email");
    let granted = json!([{ "type": "read", "of": "mail" }]);
    assert_eq!(tokens.body["authorization_details"], granted);
    let access = tokens.claims("access_token");
    assert_eq!(
        (&access["scope"], &access["authorization_details"]),
        (&json!("openid email"), &granted)
    );
    assert!(!tokens.text("id_token").is_empty());
}

#[tokio::test]
async fn c_235_the_hook_needs_its_secret_and_keeps_to_the_rules_of_a_decision() {
    let provider = Provider::plain().await;
    let id = provider.asked(&[]).await;
    let hook = async |secret: &str, query: &str| {
        let path = format!("/ciba/test-hook/{secret}?{query}");
        Answer::of(provider.post(&path)).await.status.as_u16()
    };
    let right = format!("auth_req_id={id}&action=allow");
    assert_eq!(hook("another", &right).await, 404);
    for query in ["", "action=allow", &*format!("auth_req_id={id}&action=perhaps")] {
        assert_eq!(hook(crate::kit::ciba::HOOK, query).await, 400, "{query}");
    }
    assert_eq!(
        provider.allow("unknown").await.refusal(),
        (404, "invalid_request")
    );
    assert_eq!(provider.allow(&id).await.status, 204);
    for again in [provider.allow(&id).await, provider.deny(&id).await] {
        assert_eq!(again.refusal(), (400, "invalid_request"));
    }
    let short = provider.asked(&[("requested_expiry", "1")]).await;
    provider.until_expired(&short).await;
    assert_eq!(provider.allow(&short).await.refusal(), (400, "expired_token"));
}

#[tokio::test]
async fn c_235_a_page_of_another_site_whose_name_leads_here_reaches_neither_the_hook_nor_a_dev_server() {
    let provider = Provider::plain().await;
    let id = provider.asked(&[]).await;
    let path = format!(
        "/ciba/test-hook/{}?auth_req_id={id}&action=allow",
        crate::kit::ciba::HOOK
    );
    let rebound = provider.post(&path).header(HOST, "evil.test").send();
    assert_eq!(rebound.await.unwrap().status(), 421);
    assert_eq!(provider.poll(&id).await.refusal(), (400, "authorization_pending"));
    let dev = Server::dev().await;
    for path in ["/", "/idp/.well-known/openid-configuration", "/demo-api/whoami"] {
        let url = format!("{}{path}", dev.url);
        let rebound = http().get(&url).header(HOST, "evil.test").send().await;
        assert_eq!(rebound.unwrap().status(), 421, "{path}");
        assert_ne!(http().get(&url).send().await.unwrap().status(), 421, "{path}");
    }
    dev.stop().await;
}

#[tokio::test]
async fn c_235_there_is_no_hook_unless_the_operator_asks_for_one() {
    let mut site = crate::kit::site::Site::new("http://127.0.0.1:9").and("[ciba]\nenabled = true");
    let server = site.start().await;
    let hook = format!("{}/ciba/test-hook/?auth_req_id=x&action=allow", server.url);
    let answer = crate::kit::browser::http().post(hook).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    server.stop().await;
}

#[tokio::test]
async fn c_210_the_operators_program_reads_who_asks_for_what() {
    let folder = tempfile::tempdir().unwrap();
    let (notice, script) = (folder.path().join("notice"), folder.path().join("part"));
    let program = format!("cat > {0} && mv {0} {1}", script.display(), notice.display());
    let command = format!("[ciba.notify]\ncommand = [\"/bin/sh\", \"-c\", \"{program}\"]");
    let provider = Provider::start(site(&command)).await;
    let with = [
        ("binding_message", "W4SCT"),
        ("authorization_details", r#"[{"type":"pay","amount":3}]"#),
    ];
    let id = provider.asked(&with).await;
    let text = until("a notice", async || std::fs::read(&notice).ok()).await;
    let notice: serde_json::Value = serde_json::from_slice(&text).unwrap();
    for (member, value) in [
        ("auth_req_id", json!(id)),
        ("client_name", json!("The agent")),
        ("scope", json!("openid")),
        ("binding_message", json!("W4SCT")),
        ("authorization_details", json!([{ "type": "pay", "amount": 3 }])),
    ] {
        assert_eq!(notice[member], value, "{member} of {notice}");
    }
    let page = format!("{}/ciba/approve?auth_req_id={id}", provider.server.url);
    assert!(notice.to_string().contains(&page), "{notice}");
}

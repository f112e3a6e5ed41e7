//! The token endpoint, asked with an `auth_req_id` (C-260 … C-278), in the order of its checks.

use serde_json::json;

use crate::kit::ciba::{Answer, Provider, SECRET, client, site};
use crate::kit::endpoint::{Endpoint, TOKEN};
use crate::kit::idp::Idp;
use crate::kit::person::Person;

const GRANT: (&str, &str) = ("grant_type", "urn:openid:params:grant-type:ciba");

#[tokio::test]
async fn c_260_a_client_that_does_not_prove_who_it_is_gets_nothing() {
    let provider = Provider::plain().await;
    let id = provider.asked(&[]).await;
    provider.allow(&id).await;
    let form = [GRANT, ("auth_req_id", &*id)];
    let wrong = provider
        .post("/oauth2/token")
        .basic_auth("agent", Some("another"));
    let nobody = provider.post("/oauth2/token");
    for request in [wrong, nobody] {
        let refused = Answer::of(request.form(&form)).await;
        assert_eq!(refused.refusal(), (401, "invalid_client"));
        assert!(refused.headers.contains_key("www-authenticate"));
    }
    assert_eq!(provider.poll(&id).await.status, 200);
}

#[tokio::test]
async fn c_261_c_263_the_grant_and_the_id_are_named() {
    let provider = Provider::plain().await;
    let id = provider.asked(&[]).await;
    for (form, code) in [
        (vec![("auth_req_id", &*id)], "invalid_request"),
        (vec![("grant_type", ""), ("auth_req_id", &*id)], "invalid_request"),
        (
            vec![("grant_type", "authorization_code"), ("auth_req_id", &*id)],
            "unsupported_grant_type",
        ),
        (vec![GRANT], "invalid_request"),
        (vec![GRANT, ("auth_req_id", "")], "invalid_request"),
        (
            vec![GRANT, ("auth_req_id", &*id), ("auth_req_id", &*id)],
            "invalid_request",
        ),
    ] {
        let refused = provider.form_as("agent", "/oauth2/token", &form).await;
        assert_eq!(refused.refusal(), (400, code), "{form:?}");
        assert_eq!(refused.headers["cache-control"], "no-store");
    }
    let spaced = [
        ("grant_type", " urn:openid:params:grant-type:ciba "),
        ("auth_req_id", &*id),
    ];
    let pending = provider.form_as("agent", "/oauth2/token", &spaced).await;
    assert_eq!(pending.refusal(), (400, "authorization_pending"));
}

#[tokio::test]
async fn c_262_a_client_without_the_grant_and_a_push_client_may_not_poll() {
    let endpoint = Endpoint::good().await;
    let machine = format!(
        "[[client]]\nclient_id = \"machine\"\nclient_secret = \"{SECRET}\"\ngrant_types = [\"client_credentials\"]\n"
    );
    let site = site("modes = [\"poll\", \"push\"]")
        .and(endpoint.client("push", ""))
        .and(machine);
    let provider = Provider::start(site).await;
    let asked = provider
        .ask_as("push", &[("client_notification_token", TOKEN)])
        .await;
    let id = asked.text("auth_req_id");
    assert_eq!(
        provider.poll_as("machine", &id).await.refusal(),
        (400, "unauthorized_client")
    );
    for id in [&*id, "unknown"] {
        assert_eq!(
            provider.poll_as("push", id).await.refusal(),
            (400, "unauthorized_client")
        );
    }
    provider.allow(&id).await;
    assert_eq!(
        provider.poll_as("push", &id).await.refusal(),
        (400, "unauthorized_client")
    );
}

#[tokio::test]
async fn c_264_another_clients_id_and_an_unknown_one_get_the_same_answer() {
    let provider = Provider::start(site("").and(client("other", ""))).await;
    let (pending, approved) = (provider.asked(&[]).await, provider.asked(&[]).await);
    provider.allow(&approved).await;
    let unknown = provider.poll_as("other", "unknown").await;
    assert_eq!(unknown.refusal(), (400, "invalid_grant"));
    for id in [&pending, &approved] {
        for _ in 0..3 {
            let refused = provider.poll_as("other", id).await;
            assert_eq!((refused.status, &refused.body), (unknown.status, &unknown.body));
        }
    }
    // Its owner is not slowed down by it, and has its tokens still.
    assert_eq!(
        provider.poll(&pending).await.refusal(),
        (400, "authorization_pending")
    );
    assert_eq!(provider.poll(&approved).await.status, 200);
}

#[tokio::test]
async fn c_265_c_406_what_was_redeemed_is_redeemed() {
    let provider = Provider::plain().await;
    // A slow machine has time enough for two calls.
    let short = [("requested_expiry", "5")];
    let id = provider.asked(&short).await;
    provider.allow(&id).await;
    assert_eq!(provider.poll(&id).await.status, 200);
    for _ in 0..3 {
        assert_eq!(provider.poll(&id).await.refusal(), (400, "invalid_grant"));
    }
    // Even when it would have expired by now.
    let other = provider.asked(&short).await;
    provider.until_expired(&other).await;
    assert_eq!(provider.poll(&id).await.refusal(), (400, "invalid_grant"));
}

#[tokio::test]
async fn c_266_c_273_an_expired_request_says_so_however_often_until_it_is_forgotten() {
    let provider = Provider::plain().await;
    let with = [("requested_expiry", "1")];
    let ids = [
        provider.asked(&with).await,
        provider.asked(&with).await,
        provider.asked(&with).await,
    ];
    let [undecided, approved, rejected] = &ids;
    provider.allow(approved).await;
    provider.deny(rejected).await;
    for id in [undecided, approved, rejected] {
        provider.until_expired(id).await;
        for _ in 0..3 {
            assert_eq!(provider.poll(id).await.refusal(), (400, "expired_token"));
        }
    }
    // It holds after a sweep and after a crash.
    provider.server.hang_up();
    let provider = provider.crash().await;
    for id in &ids {
        assert_eq!(provider.poll(id).await.refusal(), (400, "expired_token"));
    }
    // What the store says of the ten minutes is `c_266_c_423_…` of `request.rs`; here they are over.
    let database = provider.site.lock_database();
    let passed = database.execute("UPDATE record SET expires = 1 WHERE space = 'request'", ());
    assert_eq!(passed.unwrap(), 3);
    database.execute_batch("COMMIT").unwrap();
    for id in &ids {
        assert_eq!(provider.poll(id).await.refusal(), (400, "invalid_grant"));
        assert_eq!(provider.verify(id).await.refusal(), (404, "invalid_request"));
    }
}

#[tokio::test]
async fn c_267_a_person_who_was_disabled_since_gets_no_client_any_tokens() {
    let idp = Idp::start().await;
    let provider = Provider::start(crate::kit::ciba::site_at(
        &idp.issuer,
        "login_hint = [\"subject\"]",
    ))
    .await;
    let carol = Person::sign_in(&idp, &provider, "carol-3").await;
    let hint = [("login_hint", "carol-3")];
    let ids = [
        provider.asked(&hint).await,
        provider.asked(&hint).await,
        provider.asked(&hint).await,
    ];
    let [pending, approved, rejected] = &ids;
    assert_eq!(carol.approve(approved).await.status, 200);
    assert_eq!(carol.reject(rejected).await.status, 200);
    assert_eq!(
        provider.poll(pending).await.refusal(),
        (400, "authorization_pending")
    );
    provider.admin("user disable", &["carol-3"]).await;
    for id in &ids {
        for _ in 0..2 {
            assert_eq!(provider.poll(id).await.refusal(), (400, "invalid_grant"));
        }
    }
    assert_eq!(carol.approve(pending).await.refusal(), (403, "access_denied"));
    provider.admin("user enable", &["carol-3"]).await;
    assert_eq!(provider.poll(approved).await.status, 200);
}

#[tokio::test]
async fn c_269_c_270_the_first_poll_may_come_at_once_and_the_next_may_not() {
    let provider = Provider::plain().await;
    let (one, other) = (provider.asked(&[]).await, provider.asked(&[]).await);
    assert_eq!(
        provider.poll(&one).await.refusal(),
        (400, "authorization_pending")
    );
    for _ in 0..2 {
        assert_eq!(provider.poll(&one).await.refusal(), (400, "slow_down"));
    }
    // Each request has an interval of its own.
    assert_eq!(
        provider.poll(&other).await.refusal(),
        (400, "authorization_pending")
    );
}

#[tokio::test]
async fn c_268_c_271_c_273_a_decided_request_is_answered_however_fast_the_polls_come() {
    let provider = Provider::plain().await;
    let (approved, rejected) = (provider.asked(&[]).await, provider.asked(&[]).await);
    for id in [&approved, &rejected] {
        provider.poll(id).await;
        assert_eq!(provider.poll(id).await.refusal(), (400, "slow_down"));
    }
    provider.allow(&approved).await;
    provider.deny(&rejected).await;
    for _ in 0..5 {
        assert_eq!(provider.poll(&rejected).await.refusal(), (400, "access_denied"));
    }
    assert_eq!(provider.poll(&approved).await.status, 200);
    assert_eq!(provider.poll(&approved).await.refusal(), (400, "invalid_grant"));
}

#[tokio::test]
async fn c_272_a_resource_is_one_of_the_requests_or_one_of_the_clients() {
    let resources =
        "[oauth]\nresources = [\"https://a.example\", \"https://b.example\", \"https://c.example\"]\n";
    let provider = Provider::start(site("").and(resources)).await;
    let redeem = async |id: &str, resources: &[&str]| {
        let mut form = vec![GRANT, ("auth_req_id", id)];
        form.extend(resources.iter().map(|resource| ("resource", *resource)));
        provider.form_as("agent", "/oauth2/token", &form).await
    };
    let two = [
        ("resource", "https://a.example"),
        ("resource", "https://b.example"),
    ];
    let id = provider.asked(&two).await;
    provider.allow(&id).await;
    for wrong in [
        &["https://c.example"][..],
        &["https://a.example", "https://c.example"],
        &["nonsense"],
    ] {
        assert_eq!(
            redeem(&id, wrong).await.refusal(),
            (400, "invalid_target"),
            "{wrong:?}"
        );
    }
    let one = redeem(&id, &["https://b.example"]).await;
    assert_eq!(one.claims("access_token")["aud"], "https://b.example");
    // The request named none: the client's own hold.
    let id = provider.asked(&[]).await;
    provider.allow(&id).await;
    assert_eq!(
        redeem(&id, &["https://d.example"]).await.refusal(),
        (400, "invalid_target")
    );
    let some = redeem(&id, &["https://c.example", "https://a.example"]).await;
    assert_eq!(
        some.claims("access_token")["aud"],
        json!(["https://c.example", "https://a.example"])
    );
}

#[tokio::test]
async fn c_276_twenty_polls_without_a_pause_do_no_harm() {
    let provider = Provider::plain().await;
    let id = provider.asked(&[]).await;
    for n in 0..20 {
        let expected = if n == 0 {
            "authorization_pending"
        } else {
            "slow_down"
        };
        assert_eq!(provider.poll(&id).await.refusal(), (400, expected));
    }
    provider.allow(&id).await;
    assert_eq!(provider.poll(&id).await.status, 200);
}

#[tokio::test]
async fn c_278_a_ping_client_polls_like_a_poll_client() {
    let endpoint = Endpoint::good().await;
    let site = site("modes = [\"poll\", \"ping\"]").and(endpoint.client("ping", ""));
    let provider = Provider::start(site).await;
    let asked = provider
        .ask_as("ping", &[("client_notification_token", TOKEN)])
        .await;
    let id = asked.text("auth_req_id");
    let poll = async || provider.poll_as("ping", &id).await;
    assert_eq!(poll().await.refusal(), (400, "authorization_pending"));
    assert_eq!(poll().await.refusal(), (400, "slow_down"));
    provider.allow(&id).await;
    assert_eq!(poll().await.status, 200);
    assert_eq!(poll().await.refusal(), (400, "invalid_grant"));
}

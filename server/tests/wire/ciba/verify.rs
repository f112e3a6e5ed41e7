//! What an approval page asks before it shows anything (C-220 … C-223), and how often it may.

use serde_json::json;

use crate::kit::ciba::{Provider, site};

#[tokio::test]
async fn c_220_a_request_is_shown_to_who_has_its_id_and_its_person_is_not() {
    let provider = Provider::plain().await;
    let with = [
        ("scope", "openid profile"),
        ("binding_message", "W4SCT"),
        ("authorization_details", r#"[{"type":"pay"}]"#),
    ];
    let id = provider.asked(&with).await;
    let shown = provider.verify(&id).await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.headers["cache-control"], "no-store");
    assert_eq!(shown.headers["content-type"], "application/json");
    let mut body = shown.body.clone();
    let expires_at = body["expires_at"].take();
    let expires_at: jiff::Timestamp = expires_at.as_str().unwrap().parse().unwrap();
    let left = expires_at.as_second() - jiff::Timestamp::now().as_second();
    assert!((0..=300).contains(&left), "{left}");
    let expected = json!({
        "auth_req_id": id, "client_name": "The agent", "scope": "openid profile", "binding_message": "W4SCT",
        "authorization_details": [{ "type": "pay" }], "status": "pending", "expires_at": null,
    });
    assert_eq!(body, expected);
    for missing in ["", "?auth_req_id=", "?other=1"] {
        let url = provider.url(&format!("/ciba/verify{missing}"));
        let refused = crate::kit::ciba::Answer::of(crate::kit::browser::http().get(url)).await;
        assert_eq!(refused.status, 400, "{missing}");
        assert_eq!(refused.refusal().1, "invalid_request");
    }
}

#[tokio::test]
async fn c_220_what_was_not_sent_is_null_and_a_decision_is_seen() {
    let provider = Provider::plain().await;
    let (approved, rejected) = (provider.asked(&[]).await, provider.asked(&[]).await);
    provider.allow(&approved).await;
    provider.deny(&rejected).await;
    for (id, status) in [(&approved, "approved"), (&rejected, "rejected")] {
        let shown = provider.verify(id).await;
        assert_eq!(shown.text("status"), status);
        assert!(shown.body["binding_message"].is_null() && shown.body["authorization_details"].is_null());
    }
}

#[tokio::test]
async fn c_221_c_408_an_unknown_or_redeemed_request_is_not_found() {
    let provider = Provider::plain().await;
    let id = provider.asked(&[]).await;
    for unknown in ["unknown", &id[..42], &id.to_lowercase(), &format!("{id}A")] {
        let refused = provider.verify(unknown).await;
        assert_eq!(refused.refusal(), (404, "invalid_request"), "{unknown}");
    }
    provider.allow(&id).await;
    assert_eq!(provider.poll(&id).await.status, 200);
    assert_eq!(provider.verify(&id).await.refusal(), (404, "invalid_request"));
}

#[tokio::test]
async fn c_222_an_expired_request_says_so() {
    let provider = Provider::plain().await;
    let with = [("requested_expiry", "1")];
    let (undecided, approved) = (provider.asked(&with).await, provider.asked(&with).await);
    provider.allow(&approved).await;
    for id in [&undecided, &approved] {
        provider.until_expired(id).await;
    }
}

#[tokio::test]
async fn c_405_one_address_looks_only_so_often_and_the_limit_can_be_switched_off() {
    let limited = Provider::start(site("[ciba.limits]\nlooks_per_minute = 3")).await;
    for _ in 0..3 {
        assert_eq!(limited.verify("unknown").await.status, 404);
    }
    let refused = limited.verify("unknown").await;
    assert_eq!(refused.refusal(), (429, "temporarily_unavailable"));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=21).contains(&wait), "{wait}");
    let free = Provider::start(site("[ciba.limits]\nlooks_per_minute = 0")).await;
    for _ in 0..100 {
        assert_eq!(free.verify("unknown").await.status, 404);
    }
}

#[tokio::test]
async fn c_405_a_client_leaves_a_person_only_so_many_open_questions() {
    let provider = Provider::plain().await;
    let mut asked = Vec::new();
    for _ in 0..10 {
        asked.push(provider.asked(&[]).await);
    }
    assert_eq!(provider.ask(&[]).await.refusal(), (403, "access_denied"));
    let other = [("login_hint", "bob@example.com")];
    assert_eq!(provider.ask(&other).await.status, 200, "another person");
    provider.deny(&asked[0]).await;
    assert_eq!(provider.ask(&[]).await.status, 200, "one was decided");
    assert_eq!(provider.ask(&[]).await.refusal(), (403, "access_denied"));
    let free = "[ciba.limits]\nundecided_per_client = 0\nundecided_per_user = 0\nrequests_per_minute = 0";
    let free = Provider::start(site(free)).await;
    for _ in 0..50 {
        free.asked(&[]).await;
    }
}

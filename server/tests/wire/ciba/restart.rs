//! A server that is killed, and started again with the same store (C-421 … C-423).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::kit::browser::http;
use crate::kit::ciba::{Answer, Provider, SECRET, site};
use crate::kit::until;

/// Requests that are redeemed while the server is killed.
const STORM: usize = 60;

async fn userinfo(provider: &Provider, tokens: &Value) -> u16 {
    let token = tokens["access_token"].as_str().unwrap();
    let request = http().get(provider.url("/oauth2/userinfo"));
    Answer::of(request.bearer_auth(token)).await.status.as_u16()
}

#[tokio::test]
async fn c_422_a_request_that_was_approved_before_a_kill_is_redeemed_once_after_it() {
    let provider = Provider::plain().await;
    let id = provider.asked(&[]).await;
    provider.allow(&id).await;
    let provider = provider.crash().await.crash().await;
    let tokens = provider.poll(&id).await;
    assert_eq!(tokens.status, 200);
    let provider = provider.crash().await;
    assert_eq!(provider.poll(&id).await.refusal(), (400, "invalid_grant"));
    assert_eq!(userinfo(&provider, &tokens.body).await, 200);
}

#[tokio::test]
async fn c_422_without_a_store_on_disk_nothing_survives_and_nothing_is_wrong() {
    let provider = Provider::start(site("").with("STORE__URL", "memory:")).await;
    let id = provider.asked(&[]).await;
    provider.allow(&id).await;
    let provider = provider.crash().await;
    assert_eq!(provider.poll(&id).await.refusal(), (400, "invalid_grant"));
    assert_eq!(provider.verify(&id).await.refusal(), (404, "invalid_request"));
}

#[tokio::test]
async fn c_421_a_request_keeps_what_it_was_asked_with_through_a_kill() {
    let resources = "[oauth]\nresources = [\"https://a.example\"]\n";
    let acr = "acr_values = [\"urn:mfa\"]";
    let provider = Provider::start(site(acr).and(resources)).await;
    let with = [
        ("scope", "openid email"),
        ("binding_message", "W4SCT"),
        ("authorization_details", r#"[{"type":"pay"}]"#),
        ("resource", "https://a.example"),
        ("acr_values", "urn:mfa"),
        ("requested_expiry", "200"),
    ];
    let id = provider.asked(&with).await;
    let before = provider.verify(&id).await;
    let provider = provider.crash().await;
    let after = provider.verify(&id).await;
    assert_eq!((before.status, &before.body), (after.status, &after.body));
    provider.allow(&id).await;
    let tokens = provider.poll(&id).await;
    let access = tokens.claims("access_token");
    for (claim, value) in [
        ("sub", json!("alice-1")),
        ("client_id", json!("agent")),
        ("scope", json!("openid email")),
        ("aud", json!("https://a.example")),
        ("acr", json!("urn:mfa")),
        ("authorization_details", json!([{ "type": "pay" }])),
    ] {
        assert_eq!(access[claim], value, "{claim}");
    }
}

/// Redeems until the server is gone; returns the tokens, if there were any.
async fn redeemed(url: String, id: String, answered: Arc<AtomicUsize>) -> Option<Value> {
    let form = [
        ("grant_type", "urn:openid:params:grant-type:ciba"),
        ("auth_req_id", &*id),
    ];
    let request = http().post(url).basic_auth("agent", Some(SECRET)).form(&form);
    let response = request.send().await.ok()?;
    assert_eq!(response.status(), 200);
    let tokens = response.json().await.ok()?;
    answered.fetch_add(1, Ordering::Relaxed);
    Some(tokens)
}

#[tokio::test]
async fn c_274_c_422_a_kill_in_a_storm_of_redemptions_gives_no_tokens_twice_and_keeps_those_it_gave() {
    let limits = "[ciba.limits]\nundecided_per_client = 0\nundecided_per_user = 0\nrequests_per_minute = 0";
    let mut provider = Provider::start(site(limits)).await;
    for killed_after in [0, 1, 7, 20, 45] {
        let mut ids = Vec::new();
        for _ in 0..STORM {
            let id = provider.asked(&[]).await;
            assert_eq!(provider.allow(&id).await.status, 204);
            ids.push(id);
        }
        let (url, answered) = (provider.url("/oauth2/token"), Arc::new(AtomicUsize::new(0)));
        let redeem = |id: &String| tokio::spawn(redeemed(url.clone(), id.clone(), Arc::clone(&answered)));
        let storm: Vec<_> = ids.iter().map(redeem).collect();
        until("some answers", async || {
            (answered.load(Ordering::Relaxed) >= killed_after).then_some(())
        })
        .await;
        provider = provider.crash().await;
        let storm: Vec<Option<Value>> = join_all(storm).await.into_iter().map(Result::unwrap).collect();
        let mut redeemable = 0;
        for (id, before) in ids.iter().zip(&storm) {
            let after = provider.poll(id).await;
            match before {
                Some(tokens) => {
                    assert_eq!(after.refusal(), (400, "invalid_grant"));
                    assert_eq!(userinfo(&provider, tokens).await, 200);
                }
                // Redeemed, and the answer was lost with the server.
                None if after.status != 200 => assert_eq!(after.refusal(), (400, "invalid_grant")),
                None => {
                    redeemable += 1;
                    assert_eq!(userinfo(&provider, &after.body).await, 200);
                }
            }
            assert_eq!(provider.poll(id).await.refusal(), (400, "invalid_grant"));
        }
        let given = storm.iter().flatten().count();
        assert!(given + redeemable <= STORM && given >= killed_after.min(STORM));
    }
}

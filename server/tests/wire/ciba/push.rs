//! A push client is sent its tokens (C-360 … C-374).

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::kit::ciba::{Answer, Provider, site, site_at};
use crate::kit::endpoint::{Endpoint, TOKEN};
use crate::kit::idp::Idp;
use crate::kit::leak::{assert_unsaid, holds};
use crate::kit::person::Person;
use crate::kit::site::Site;
use crate::kit::stand_in::Reply;
use crate::kit::until;

const PUSH: &str = "modes = [\"poll\", \"push\"]";

fn site_of(endpoint: &Endpoint, ciba: &str, client: &str) -> Site {
    let site = site(&format!("{PUSH}\n{ciba}")).and(endpoint.client("push", client));
    endpoint.trusted_by(site)
}

async fn asked(provider: &Provider, with: &[(&str, &str)]) -> String {
    let with = [&[("client_notification_token", TOKEN)], with].concat();
    let asked = provider.ask_as("push", &with).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    asked.text("auth_req_id")
}

/// Whether an access token is good: the status of userinfo.
async fn userinfo(provider: &Provider, pushed: &Value) -> u16 {
    let token = pushed["access_token"].as_str().unwrap();
    let request = crate::kit::browser::http().get(provider.url("/oauth2/userinfo"));
    Answer::of(request.bearer_auth(token)).await.status.as_u16()
}

fn left_half(token: &Value) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    let hash = Sha256::digest(token.as_str().unwrap().as_bytes());
    Base64UrlUnpadded::encode_string(&hash[..16])
}

fn answer(body: Value) -> Answer {
    Answer {
        status: reqwest::StatusCode::OK,
        headers: reqwest::header::HeaderMap::new(),
        body,
    }
}

#[tokio::test]
async fn c_360_c_361_the_tokens_come_with_the_id_and_an_id_token_that_binds_them_all() {
    let mut endpoint = Endpoint::https([Reply::Status(204)]).await;
    let provider = Provider::start(site_of(&endpoint, "", "")).await;
    let id = asked(&provider, &[("scope", "openid profile offline_access")]).await;
    assert_eq!(provider.allow(&id).await.status, 204);
    let pushed = endpoint.body(0).await;
    let call = &endpoint.calls[0];
    assert_eq!((call.method.as_str(), call.uri.path()), ("POST", "/told"));
    assert_eq!(call.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(call.headers["content-type"], "application/json");
    assert_eq!(
        (
            &pushed["auth_req_id"],
            &pushed["token_type"],
            &pushed["expires_in"],
            &pushed["scope"]
        ),
        (
            &json!(id),
            &json!("Bearer"),
            &json!(600),
            &json!("openid profile offline_access")
        )
    );
    let claims = answer(pushed.clone()).claims("id_token");
    assert_eq!(claims["urn:openid:params:jwt:claim:auth_req_id"], json!(id));
    assert_eq!(claims["at_hash"], left_half(&pushed["access_token"]));
    assert_eq!(
        claims["urn:openid:params:jwt:claim:rt_hash"],
        left_half(&pushed["refresh_token"])
    );
    assert_eq!(userinfo(&provider, &pushed).await, 200);
    // Without a refresh token there is nothing to bind.
    let id = asked(&provider, &[]).await;
    provider.allow(&id).await;
    let claims = answer(endpoint.body(1).await).claims("id_token");
    assert!(claims.get("urn:openid:params:jwt:claim:rt_hash").is_none());
    assert_eq!(claims["urn:openid:params:jwt:claim:auth_req_id"], json!(id));
    // What is over is no longer approved of, and is not there to be looked at.
    provider.server.stop().await;
    assert_eq!(endpoint.count(), 2);
}

#[tokio::test]
async fn c_362_tokens_go_to_no_other_place_than_the_one_that_was_registered_when_the_person_was_asked() {
    let (mut before, mut after) = (Endpoint::good().await, Endpoint::good().await);
    let modes = ["delivery_mode = \"push\"", "delivery_mode = \"poll\""].map(String::from);
    for [registered, later] in [[before.url(), after.url()], modes] {
        let site = site(PUSH).and(before.client("push", ""));
        let mut provider = Provider::start(site).await;
        let id = asked(&provider, &[]).await;
        provider.site.change(&registered, &later);
        provider = provider.crash().await;
        let refused = provider.allow(&id).await;
        assert_eq!(refused.refusal(), (400, "invalid_request"), "{later}");
        let gone = provider.verify(&id).await;
        assert_eq!(gone.refusal(), (404, "invalid_request"), "{later}");
        provider.server.stop().await;
    }
    assert_eq!((before.count(), after.count()), (0, 0));
}

#[tokio::test]
async fn c_363_c_364_every_try_sends_the_same_bytes_and_the_tokens_are_good() {
    let mut endpoint = Endpoint::https([Reply::Status(503), Reply::Status(500), Reply::Status(200)]).await;
    let provider = Provider::start(site_of(&endpoint, "", "")).await;
    let id = asked(&provider, &[]).await;
    provider.allow(&id).await;
    let pushed = endpoint.body(2).await;
    assert!(
        endpoint
            .calls
            .iter()
            .all(|call| call.body == endpoint.calls[0].body)
    );
    assert_eq!(userinfo(&provider, &pushed).await, 200);
    provider.server.stop().await;
    assert_eq!(endpoint.count(), 3);
}

#[tokio::test]
async fn c_364_c_365_what_cannot_be_delivered_is_revoked() {
    for (replies, calls) in [
        (vec![Reply::Status(503)], 2),
        (vec![Reply::Status(401)], 1),
        (
            vec![Reply::Header(307, "location", "https://localhost:1/".into())],
            1,
        ),
    ] {
        let mut endpoint = Endpoint::https(replies).await;
        let once = "[ciba.deliver]\npush_retries = 1";
        let provider = Provider::start(site_of(&endpoint, once, "")).await;
        let id = asked(&provider, &[("scope", "openid offline_access")]).await;
        provider.allow(&id).await;
        let pushed = endpoint.body(calls - 1).await;
        let is_revoked = async || (userinfo(&provider, &pushed).await == 401).then_some(());
        until("the end of the tokens", is_revoked).await;
        let refresh = [
            ("grant_type", "refresh_token"),
            ("refresh_token", pushed["refresh_token"].as_str().unwrap()),
        ];
        let refused = provider.form_as("push", "/oauth2/token", &refresh).await;
        assert_eq!(refused.refusal(), (400, "invalid_grant"));
        assert_eq!(
            provider.poll_as("push", &id).await.refusal(),
            (400, "unauthorized_client")
        );
        let log = provider.server.stop().await;
        assert!(log.contains("a client could not be told"), "{log}");
        assert_unsaid(&log, &[pushed["access_token"].as_str().unwrap(), TOKEN, &id]);
        assert_eq!(endpoint.count(), calls);
    }
}

#[tokio::test]
async fn c_366_a_rejection_is_told_with_the_same_retries() {
    let mut endpoint = Endpoint::https([Reply::Status(503), Reply::Status(204)]).await;
    let provider = Provider::start(site_of(&endpoint, "", "")).await;
    let id = asked(&provider, &[]).await;
    provider.deny(&id).await;
    for n in 0..2 {
        let told = endpoint.body(n).await;
        assert_eq!(
            (&told["auth_req_id"], &told["error"]),
            (&json!(id), &json!("access_denied"))
        );
        assert!(told.get("access_token").is_none());
        assert_eq!(
            endpoint.calls[n].headers["authorization"],
            format!("Bearer {TOKEN}")
        );
    }
    assert_eq!(provider.verify(&id).await.text("status"), "rejected");
    assert_eq!(provider.allow(&id).await.refusal(), (400, "invalid_request"));
    provider.server.stop().await;
    assert_eq!(endpoint.count(), 2);
}

#[tokio::test]
async fn c_367_an_expiry_is_told_once_unless_it_is_switched_off() {
    for (is_on, ciba) in [(true, ""), (false, "push_expiry = false")] {
        let mut endpoint = Endpoint::https([Reply::Status(503)]).await;
        let provider = Provider::start(site_of(&endpoint, ciba, "")).await;
        let id = asked(&provider, &[("requested_expiry", "1")]).await;
        provider.until_expired(&id).await;
        provider.server.hang_up();
        if is_on {
            let told = endpoint.body(0).await;
            assert_eq!(
                (&told["auth_req_id"], &told["error"]),
                (&json!(id), &json!("expired_token"))
            );
        }
        // It was told, and still has expired.
        provider.server.hang_up();
        assert_eq!(provider.verify(&id).await.refusal(), (400, "expired_token"));
        provider.server.stop().await;
        assert_eq!(endpoint.count(), usize::from(is_on));
    }
}

#[tokio::test]
async fn c_369_c_407_tokens_that_wait_are_in_no_file_and_in_no_log() {
    let mut endpoint = Endpoint::https([Reply::Silence]).await;
    let provider = Provider::start(site_of(&endpoint, "", "")).await;
    let id = asked(&provider, &[("scope", "openid offline_access")]).await;
    provider.allow(&id).await;
    let pushed = endpoint.body(0).await;
    let tokens = ["access_token", "refresh_token", "id_token"].map(|member| pushed[member].as_str().unwrap());
    for (file, bytes) in provider.site.dump() {
        for secret in tokens.iter().chain(&[TOKEN, &id]) {
            assert!(!holds(&bytes, secret.as_bytes()), "{file} holds a secret");
        }
    }
    provider.server.kill().await;
}

#[tokio::test]
async fn c_374_a_push_client_that_may_polls_once_its_delivery_has_failed_for_good() {
    // There is time to poll before the second try.
    let busy = Reply::Header(503, "retry-after", "5".into());
    let mut endpoint = Endpoint::https([busy, Reply::Status(401)]).await;
    let terms = "terms = { poll_after_push = true }";
    let provider = Provider::start(site_of(&endpoint, "", terms)).await;
    let id = asked(&provider, &[]).await;
    let poll = async || provider.poll_as("push", &id).await;
    assert_eq!(poll().await.refusal(), (400, "unauthorized_client"));
    assert_eq!(
        provider.poll_as("push", "unknown").await.refusal(),
        (400, "invalid_grant")
    );
    provider.allow(&id).await;
    endpoint.until(1).await;
    assert_eq!(
        poll().await.refusal(),
        (400, "unauthorized_client"),
        "another try comes"
    );
    let pushed = endpoint.body(1).await;
    let tokens = until("its tokens", async || {
        let answer = poll().await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(userinfo(&provider, &tokens.body).await, 200);
    assert_eq!(
        userinfo(&provider, &pushed).await,
        401,
        "those that did not arrive"
    );
    let claims = tokens.claims("id_token");
    assert!(claims.get("urn:openid:params:jwt:claim:auth_req_id").is_none());
    assert_eq!(poll().await.refusal(), (400, "invalid_grant"));
}

#[tokio::test]
async fn c_374_what_was_delivered_is_not_polled_and_what_expires_says_so() {
    let mut endpoint = Endpoint::https([Reply::Status(204), Reply::Status(401)]).await;
    let terms = "terms = { poll_after_push = true }";
    let provider = Provider::start(site_of(&endpoint, "", terms)).await;
    let delivered = asked(&provider, &[]).await;
    provider.allow(&delivered).await;
    endpoint.until(1).await;
    assert_eq!(
        provider.poll_as("push", &delivered).await.refusal(),
        (400, "unauthorized_client")
    );
    let failed = asked(&provider, &[("requested_expiry", "5")]).await;
    assert_eq!(provider.allow(&failed).await.status, 204);
    provider.until_expired(&failed).await;
    until("the end of the delivery", async || {
        let polled = provider.poll_as("push", &failed).await;
        (polled.refusal() == (400, "expired_token")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn c_422_c_363_a_crash_before_the_delivery_costs_the_client_nothing_but_the_old_tokens() {
    let mut endpoint = Endpoint::https([Reply::Silence, Reply::Status(204)]).await;
    let provider = Provider::start(site_of(&endpoint, "", "")).await;
    let id = asked(&provider, &[]).await;
    provider.allow(&id).await;
    let first = endpoint.body(0).await;
    assert_eq!(userinfo(&provider, &first).await, 200);
    let provider = provider.crash().await;
    let second = endpoint.body(1).await;
    assert_eq!(second["auth_req_id"], json!(id));
    assert_eq!(userinfo(&provider, &first).await, 401);
    assert_eq!(userinfo(&provider, &second).await, 200);
    provider.server.stop().await;
    assert_eq!(endpoint.count(), 2);
}

#[tokio::test]
async fn c_422_a_rejection_and_an_expiry_are_told_after_a_crash_as_well() {
    let mut endpoint = Endpoint::https([Reply::Silence, Reply::Status(204)]).await;
    let provider = Provider::start(site_of(&endpoint, "", "")).await;
    let rejected = asked(&provider, &[]).await;
    provider.deny(&rejected).await;
    endpoint.until(1).await;
    let expired = asked(&provider, &[("requested_expiry", "1")]).await;
    provider.until_expired(&expired).await;
    let provider = provider.crash().await;
    endpoint.until(3).await;
    let told = [endpoint.body(1).await, endpoint.body(2).await];
    for (id, error) in [(&rejected, "access_denied"), (&expired, "expired_token")] {
        let is_told = |body: &&Value| body["auth_req_id"] == json!(id) && body["error"] == error;
        assert_eq!(told.iter().filter(is_told).count(), 1, "{told:?}");
    }
    provider.server.stop().await;
    assert_eq!(endpoint.count(), 3);
}

#[tokio::test]
async fn c_368_a_failure_of_ours_after_the_approval_is_told_and_ends_the_request() {
    let mut endpoint = Endpoint::https([Reply::Status(503), Reply::Status(204)]).await;
    let fails = "[oauth]\nclaims_command = [\"false\"]\n";
    let provider = Provider::start(site_of(&endpoint, "", "").and(fails)).await;
    let id = asked(&provider, &[]).await;
    assert_eq!(provider.allow(&id).await.status, 204);
    for n in 0..2 {
        let told = endpoint.body(n).await;
        assert_eq!(
            (&told["auth_req_id"], &told["error"]),
            (&json!(id), &json!("transaction_failed"))
        );
    }
    let is_over = async || (provider.verify(&id).await.refusal() == (404, "invalid_request")).then_some(());
    until("the end of the request", is_over).await;
    let provider = provider.crash().await;
    provider.server.stop().await;
    assert_eq!(endpoint.count(), 2);
}

#[tokio::test]
async fn c_267_c_362_no_tokens_are_sent_for_a_person_who_is_gone_since() {
    let idp = Idp::start().await;
    let mut endpoint = Endpoint::https([Reply::Silence, Reply::Status(204)]).await;
    let ciba = format!("{PUSH}\nlogin_hint = [\"subject\"]");
    let site = site_at(&idp.issuer, &ciba).and(endpoint.client("push", ""));
    let provider = Provider::start(endpoint.trusted_by(site)).await;
    let carol = Person::sign_in(&idp, &provider, "carol-3").await;
    let id = asked(&provider, &[("login_hint", "carol-3")]).await;
    assert_eq!(carol.approve(&id).await.status, 200);
    assert!(endpoint.body(0).await["access_token"].is_string());
    provider.admin("user disable", &["carol-3"]).await;
    let provider = provider.crash().await;
    let told = endpoint.body(1).await;
    assert_eq!(
        (&told["auth_req_id"], &told["error"]),
        (&json!(id), &json!("transaction_failed"))
    );
    assert!(told.get("access_token").is_none());
    provider.server.stop().await;
    assert_eq!(endpoint.count(), 2);
}

//! A ping client is told of the decision, at an endpoint of its own with TLS (C-330 … C-336, C-401, C-402).

use serde_json::json;

use crate::kit::ciba::{Provider, client, site};
use crate::kit::endpoint::{Endpoint, TOKEN};
use crate::kit::stand_in::Reply;

const PING: &str = "modes = [\"poll\", \"ping\"]";

/// A provider with a client `ping` at this endpoint.
async fn provider(endpoint: &Endpoint) -> Provider {
    let site = site(PING).and(endpoint.client("ping", ""));
    Provider::start(endpoint.trusted_by(site)).await
}

async fn asked(provider: &Provider, with: &[(&str, &str)]) -> String {
    let with = [&[("client_notification_token", TOKEN)], with].concat();
    let asked = provider.ask_as("ping", &with).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    asked.text("auth_req_id")
}

/// The person approves; whatever the endpoint says, the client gets its tokens.
async fn approved_and_redeemed(provider: &Provider, endpoint: &mut Endpoint) {
    let id = asked(provider, &[]).await;
    assert_eq!(provider.allow(&id).await.status, 204);
    endpoint.until(1).await;
    assert_eq!(provider.poll_as("ping", &id).await.status, 200);
}

#[tokio::test]
async fn c_330_c_400_c_401_approval_and_rejection_are_told_with_the_clients_token() {
    let mut endpoint = Endpoint::https([Reply::Status(204)]).await;
    let provider = provider(&endpoint).await;
    let (approved, rejected) = (asked(&provider, &[]).await, asked(&provider, &[]).await);
    for (n, id) in [&approved, &rejected].into_iter().enumerate() {
        let decided = if n == 0 {
            provider.allow(id).await
        } else {
            provider.deny(id).await
        };
        assert_eq!(decided.status, 204);
        assert_eq!(endpoint.body(n).await, json!({ "auth_req_id": id }));
        let call = &endpoint.calls[n];
        assert_eq!((call.method.as_str(), call.uri.path()), ("POST", "/told"));
        assert_eq!(call.headers["authorization"], format!("Bearer {TOKEN}"));
        assert_eq!(call.headers["content-type"], "application/json");
        for absent in ["cookie", "referer", "proxy-authorization"] {
            assert!(!call.headers.contains_key(absent), "{absent}");
        }
    }
    assert_eq!(provider.poll_as("ping", &approved).await.status, 200);
    assert_eq!(
        provider.poll_as("ping", &rejected).await.refusal(),
        (400, "access_denied")
    );
    provider.server.stop().await;
    assert_eq!(endpoint.count(), 2);
}

#[tokio::test]
async fn c_330_an_expiry_is_not_told_and_a_poll_client_never_is() {
    let mut endpoint = Endpoint::good().await;
    // A poll client's endpoint is dropped (C-044).
    let site = site(PING)
        .and(endpoint.client("ping", ""))
        .and(endpoint.client("poll", ""));
    let provider = Provider::start(site).await;
    let expired = asked(&provider, &[("requested_expiry", "1")]).await;
    let polled = provider
        .ask_as("poll", &[("client_notification_token", TOKEN)])
        .await
        .text("auth_req_id");
    assert_eq!(provider.allow(&polled).await.status, 204);
    provider.until_expired(&expired).await;
    provider.server.hang_up();
    let id = asked(&provider, &[]).await;
    provider.allow(&id).await;
    assert_eq!(endpoint.body(0).await["auth_req_id"], id);
    provider.server.stop().await;
    assert_eq!(endpoint.count(), 1);
}

#[tokio::test]
async fn c_331_any_2xx_is_delivery_whatever_its_body() {
    for reply in [
        Reply::Text(200, "{\"error\":\"no\"}"),
        Reply::Status(202),
        Reply::Endless,
    ] {
        let mut endpoint = Endpoint::https([reply]).await;
        let provider = provider(&endpoint).await;
        approved_and_redeemed(&provider, &mut endpoint).await;
        let log = provider.server.stop().await;
        assert!(!log.contains("could not be told"), "{log}");
        assert_eq!(endpoint.count(), 1);
    }
}

#[tokio::test]
async fn c_332_c_401_a_redirect_is_final_and_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let mut elsewhere = Endpoint::good().await;
        let redirect = Reply::Header(status, "location", elsewhere.url());
        let mut endpoint = Endpoint::https([redirect]).await;
        let provider = provider(&endpoint).await;
        approved_and_redeemed(&provider, &mut endpoint).await;
        let log = provider.server.stop().await;
        assert!(log.contains("could not be told"), "{log}");
        assert_eq!((endpoint.count(), elsewhere.count()), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn c_333_c_336_a_refusal_is_final_and_the_client_polls_its_tokens() {
    for status in [400, 401, 403, 404, 410] {
        let mut endpoint = Endpoint::https([Reply::Status(status)]).await;
        let provider = provider(&endpoint).await;
        approved_and_redeemed(&provider, &mut endpoint).await;
        // The server leaves only when no delivery is under way.
        provider.server.stop().await;
        assert_eq!(endpoint.count(), 1, "{status}");
    }
}

#[tokio::test]
async fn c_333_c_334_a_busy_or_broken_endpoint_is_tried_again() {
    let tried = [
        vec![Reply::Header(429, "retry-after", "1".into()), Reply::Status(204)],
        vec![Reply::Status(408), Reply::Status(204)],
        vec![Reply::Status(425), Reply::Status(204)],
        vec![Reply::Status(503), Reply::Status(500), Reply::Status(204)],
        vec![Reply::Status(503); 3],
    ];
    for replies in tried {
        let expected = replies.len();
        let mut endpoint = Endpoint::https(replies).await;
        let provider = provider(&endpoint).await;
        let id = asked(&provider, &[]).await;
        provider.allow(&id).await;
        endpoint.until(expected).await;
        assert_eq!(provider.poll_as("ping", &id).await.status, 200);
        provider.server.stop().await;
        assert_eq!(endpoint.count(), expected);
        let bodies: Vec<_> = endpoint.calls.iter().map(|call| &call.body).collect();
        assert!(bodies.iter().all(|body| *body == bodies[0]));
    }
}

#[tokio::test]
async fn c_334_a_client_that_has_its_tokens_is_told_no_more() {
    let mut endpoint = Endpoint::https([Reply::Header(503, "retry-after", "5".into())]).await;
    let provider = provider(&endpoint).await;
    approved_and_redeemed(&provider, &mut endpoint).await;
    provider.server.stop().await;
    assert_eq!(endpoint.count(), 1);
}

#[tokio::test]
async fn c_402_an_endpoint_inside_is_not_called_and_the_decision_stands() {
    let inside = client(
        "ping",
        "backchannel_token_delivery_mode = \"ping\"\n\
         backchannel_client_notification_endpoint = \"https://192.168.7.7/told\"",
    );
    let mut provider = Provider::start(site(PING).and(inside)).await;
    let id = asked(&provider, &[]).await;
    assert_eq!(provider.allow(&id).await.status, 204);
    provider.server.until_said("a client could not be told").await;
    assert_eq!(provider.poll_as("ping", &id).await.status, 200);
}

#[tokio::test]
async fn c_400_c_336_an_authority_that_the_operator_does_not_trust_costs_the_ping_alone() {
    let mut endpoint = Endpoint::https([Reply::Status(204)]).await;
    let retries = format!("{PING}\n[ciba.deliver]\nping_retries = 0");
    let mut provider = Provider::start(site(&retries).and(endpoint.client("ping", ""))).await;
    let id = asked(&provider, &[]).await;
    assert_eq!(provider.allow(&id).await.status, 204);
    provider.server.until_said("a client could not be told").await;
    assert_eq!(provider.poll_as("ping", &id).await.status, 200);
    assert_eq!(endpoint.count(), 0);
}

#[tokio::test]
async fn c_422_a_ping_that_a_crash_kept_is_sent_after_it_and_one_that_arrived_is_not() {
    let mut endpoint = Endpoint::https([Reply::Status(204), Reply::Silence, Reply::Status(204)]).await;
    let mut provider = provider(&endpoint).await;
    let (told, untold) = (asked(&provider, &[]).await, asked(&provider, &[]).await);
    provider.allow(&told).await;
    provider.server.until_said("a client was told").await;
    provider.allow(&untold).await;
    endpoint.until(2).await;
    let provider = provider.crash().await;
    assert_eq!(endpoint.body(2).await["auth_req_id"], untold);
    provider.server.stop().await;
    assert_eq!(endpoint.count(), 3);
}

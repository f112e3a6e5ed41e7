//! The whole way of a request: asked, decided, redeemed once.

use crate::kit::ciba::{Provider, client, site};

#[tokio::test]
async fn c_271_a_poll_client_asks_a_person_approves_and_the_client_gets_its_tokens_once() {
    let provider = Provider::plain().await;
    let asked = provider
        .ask(&[("binding_message", "W4SCT"), ("scope", "openid profile")])
        .await;
    assert_eq!(asked.status, 200);
    assert_eq!(
        (&asked.body["expires_in"], &asked.body["interval"]),
        (&300.into(), &5.into())
    );
    let id = asked.text("auth_req_id");
    assert_eq!(provider.poll(&id).await.refusal(), (400, "authorization_pending"));
    let verified = provider.verify(&id).await;
    assert_eq!(
        (verified.status.as_u16(), verified.text("status").as_str()),
        (200, "pending")
    );
    assert_eq!(verified.text("binding_message"), "W4SCT");
    assert_eq!(provider.allow(&id).await.status, 204);
    let tokens = provider.poll(&id).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.text("token_type"), "Bearer");
    let (access, id_token) = (tokens.claims("access_token"), tokens.claims("id_token"));
    assert_eq!(
        (&access["sub"], &access["act"]["sub"]),
        (&"alice-1".into(), &"agent".into())
    );
    assert_eq!(
        (&id_token["sub"], &id_token["aud"]),
        (&"alice-1".into(), &"agent".into())
    );
    assert_eq!(provider.poll(&id).await.refusal(), (400, "invalid_grant"));
    provider.server.stop().await;
}

#[tokio::test]
async fn c_268_a_rejected_request_says_so_again_and_again() {
    let provider = Provider::plain().await;
    let id = provider.asked(&[]).await;
    assert_eq!(provider.deny(&id).await.status, 204);
    for _ in 0..3 {
        assert_eq!(provider.poll(&id).await.refusal(), (400, "access_denied"));
    }
    assert_eq!(provider.allow(&id).await.refusal(), (400, "invalid_request"));
}

#[tokio::test]
async fn c_264_another_clients_request_looks_like_none_and_its_owner_loses_nothing() {
    let provider = Provider::start(site("").and(client("other", ""))).await;
    let id = provider.asked(&[]).await;
    provider.allow(&id).await;
    assert_eq!(
        provider.poll_as("other", &id).await.refusal(),
        (400, "invalid_grant")
    );
    assert_eq!(provider.poll("unknown").await.refusal(), (400, "invalid_grant"));
    assert_eq!(provider.poll(&id).await.status, 200);
}

#[tokio::test]
async fn c_422_a_request_survives_a_crash_decided_or_not() {
    let provider = Provider::plain().await;
    let (undecided, approved) = (provider.asked(&[]).await, provider.asked(&[]).await);
    provider.allow(&approved).await;
    let provider = provider.crash().await;
    assert_eq!(provider.poll(&approved).await.status, 200);
    let provider = provider.crash().await;
    assert_eq!(provider.poll(&approved).await.refusal(), (400, "invalid_grant"));
    assert_eq!(
        provider.poll(&undecided).await.refusal(),
        (400, "authorization_pending")
    );
    assert_eq!(provider.allow(&undecided).await.status, 204);
    assert_eq!(provider.poll(&undecided).await.status, 200);
}

//! Clients that prove with a JWT who they are, beyond what one assertion has to say (C-070, C-078).

use jsonwebtoken::Algorithm;
use store::Space;

use crate::kit::ciba::{Answer, NO_LIMITS, Provider, signing_client, site};
use crate::kit::signer::{ASSERTION_TYPE, Signer, assertion};

/// Asks for tokens of a request that is not there, which only a client that is known is told.
async fn prove(provider: &Provider, client: &str, signer: &Signer) -> Answer {
    let jwt = signer.sign(&assertion(client, &provider.server.url, &[]));
    let form = [
        ("grant_type", "urn:openid:params:grant-type:ciba"),
        ("auth_req_id", "unknown"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &*jwt),
    ];
    Answer::of(provider.post("/oauth2/token").form(&form)).await
}

#[tokio::test]
async fn c_070_an_unknown_client_a_disabled_one_and_a_wrong_signature_get_the_same_answer() {
    let [own, other] = [Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256)];
    let clients = [
        signing_client("signing", &own, ""),
        signing_client("disabled", &own, "disabled = true"),
    ];
    let provider = Provider::start(site(NO_LIMITS).and(clients.concat())).await;
    let wrong = prove(&provider, "signing", &other).await;
    assert_eq!(wrong.refusal(), (401, "invalid_client"));
    for client in ["unknown", "disabled", "agent"] {
        let refused = prove(&provider, client, &own).await;
        assert_eq!(
            (refused.status, &refused.body),
            (wrong.status, &wrong.body),
            "{client}"
        );
        let challenge = |answer: &Answer| answer.headers["www-authenticate"].clone();
        assert_eq!(challenge(&refused), challenge(&wrong), "{client}");
    }
    provider.server.stop().await;
}

#[tokio::test]
async fn c_078_one_client_leaves_so_many_assertions_behind_a_minute_and_a_forger_uses_up_none() {
    let [own, other] = [Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256)];
    let clients = [
        signing_client("signing", &own, ""),
        signing_client("other", &other, ""),
    ];
    let site = site(NO_LIMITS)
        .with("OAUTH__JWTS_PER_MINUTE", "2")
        .and(clients.concat());
    let provider = Provider::start(site).await;
    for _ in 0..3 {
        let forged = prove(&provider, "signing", &other).await;
        assert_eq!(forged.refusal(), (401, "invalid_client"));
    }
    for _ in 0..2 {
        let known = prove(&provider, "signing", &own).await;
        assert_eq!(known.refusal(), (400, "invalid_grant"));
    }
    let busy = prove(&provider, "signing", &own).await;
    assert_eq!(busy.refusal(), (429, "temporarily_unavailable"));
    assert!(
        busy.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
    assert_eq!(provider.site.count(Space::Used).await, 2);
    let another = prove(&provider, "other", &other).await;
    assert_eq!(another.refusal(), (400, "invalid_grant"));
    provider.server.stop().await;
}

//! What clients do with tokens, and get without a person: refresh, userinfo, client credentials (C-302, C-309).

use reqwest::Method;
use serde_json::json;

use crate::kit::ciba::{Answer, Provider, client, site};

/// A provider with a second client, and a third that acts for itself.
async fn provider() -> Provider {
    let machine = "[[client]]\nclient_id = \"machine\"\nclient_secret = \"a-secret-of-256-bits-that-only-a-test-would-write-down\"\n\
                   grant_types = [\"client_credentials\"]\nscope = \"openid reports\"\n";
    let resources = "[oauth]\nscopes = [\"openid\", \"profile\", \"email\", \"offline_access\", \"reports\"]\n\
                     resources = [\"https://api.example\", \"https://other.example\"]\n";
    let more = format!("{}{machine}{resources}", client("other", ""));
    Provider::start(site("").and(more)).await
}

/// Asks for these scopes, lets the person say yes, and returns the tokens.
async fn tokens(provider: &Provider, with: &[(&str, &str)]) -> Answer {
    let id = provider.asked(with).await;
    assert!(provider.allow(&id).await.status.is_success());
    let answer = provider.poll(&id).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

async fn refresh(provider: &Provider, client: &str, token: &str, with: &[(&str, &str)]) -> Answer {
    let form = [&[("grant_type", "refresh_token"), ("refresh_token", token)], with].concat();
    provider.form_as(client, "/oauth2/token", &form).await
}

async fn userinfo(provider: &Provider, method: Method, token: &str) -> Answer {
    let request = crate::kit::browser::http().request(method, provider.url("/oauth2/userinfo"));
    Answer::of(request.bearer_auth(token)).await
}

const OFFLINE: [(&str, &str); 1] = [("scope", "openid email offline_access")];

#[tokio::test]
async fn c_302_a_refreshed_id_token_keeps_who_and_when_and_has_a_new_iat() {
    let provider = provider().await;
    let first = tokens(&provider, &OFFLINE).await;
    let second = refresh(&provider, "agent", &first.text("refresh_token"), &[]).await;
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(second.headers["cache-control"], "no-store");
    assert_eq!(second.body["scope"], "openid email offline_access");
    assert_ne!(second.text("refresh_token"), first.text("refresh_token"));
    let [before, after] = [&first, &second].map(|answer| answer.claims("id_token"));
    for claim in ["iss", "sub", "aud", "auth_time"] {
        assert_eq!(before[claim], after[claim], "{claim}");
        assert!(!after[claim].is_null(), "{claim}");
    }
    assert!(after["iat"].as_u64() >= before["iat"].as_u64() && after.get("azp").is_none());
    let third = refresh(&provider, "agent", &second.text("refresh_token"), &[]).await;
    assert_eq!(third.status, 200, "{third:?}");
    provider.server.stop().await;
}

#[tokio::test]
async fn c_302_a_refresh_token_is_its_clients_and_another_loses_it_nothing() {
    let provider = provider().await;
    let token = tokens(&provider, &OFFLINE).await.text("refresh_token");
    for (client, token) in [
        ("other", &*token),
        ("agent", "unknown"),
        ("agent", "a.b"),
        ("agent", &token[..30]),
    ] {
        let refused = refresh(&provider, client, token, &[]).await;
        // A piece of the right token names its grant, and has another secret: that is a reuse.
        assert_eq!(refused.refusal(), (400, "invalid_grant"), "{client}");
        if token.len() == 30 {
            break;
        }
    }
    let token = tokens(&provider, &OFFLINE).await.text("refresh_token");
    assert_eq!(
        refresh(&provider, "other", &token, &[]).await.refusal(),
        (400, "invalid_grant")
    );
    assert_eq!(refresh(&provider, "agent", &token, &[]).await.status, 200);
    let missing = provider
        .form_as("agent", "/oauth2/token", &[("grant_type", "refresh_token")])
        .await;
    assert_eq!(missing.refusal(), (400, "invalid_request"));
    provider.server.stop().await;
}

#[tokio::test]
async fn c_302_a_refresh_token_that_comes_twice_ends_all_tokens_of_its_grant() {
    let provider = provider().await;
    let first = tokens(&provider, &OFFLINE).await;
    let second = refresh(&provider, "agent", &first.text("refresh_token"), &[]).await;
    assert_eq!(
        userinfo(&provider, Method::GET, &second.text("access_token"))
            .await
            .status,
        200
    );
    let again = refresh(&provider, "agent", &first.text("refresh_token"), &[]).await;
    assert_eq!(again.refusal(), (400, "invalid_grant"));
    for answer in [&first, &second] {
        let refused = refresh(&provider, "agent", &answer.text("refresh_token"), &[]).await;
        assert_eq!(refused.refusal(), (400, "invalid_grant"));
        let ended = userinfo(&provider, Method::GET, &answer.text("access_token")).await;
        assert_eq!(ended.refusal(), (401, "invalid_token"));
    }
    provider.server.stop().await;
}

#[tokio::test]
async fn c_302_a_client_may_narrow_and_never_widen_and_a_refused_request_costs_it_nothing() {
    let provider = provider().await;
    let first = tokens(&provider, &OFFLINE).await.text("refresh_token");
    for (parameter, code) in [
        (("scope", "openid profile"), "invalid_scope"),
        (("scope", " "), "invalid_scope"),
        (("resource", "https://unknown.example"), "invalid_target"),
        // The person saw no resource: the client may have it, and this grant not.
        (("resource", "https://api.example"), "invalid_target"),
    ] {
        let refused = refresh(&provider, "agent", &first, &[parameter]).await;
        assert_eq!(refused.refusal(), (400, code), "{parameter:?}");
    }
    let narrowed = refresh(&provider, "agent", &first, &[("scope", "email")]).await;
    assert_eq!(narrowed.body["scope"], "email");
    assert!(narrowed.body.get("id_token").is_none());
    assert_eq!(narrowed.claims("access_token")["aud"], provider.server.url);
    // The grant is as wide as before.
    let whole = refresh(&provider, "agent", &narrowed.text("refresh_token"), &[]).await;
    assert_eq!(whole.body["scope"], "openid email offline_access");
    assert_eq!(whole.claims("access_token")["aud"], provider.server.url);
    provider.server.stop().await;
}

#[tokio::test]
async fn c_309_userinfo_tells_what_the_scopes_allow() {
    let provider = provider().await;
    let answer = tokens(&provider, &[("scope", "openid email")]).await;
    let token = answer.text("access_token");
    for method in [Method::GET, Method::POST] {
        let told = userinfo(&provider, method, &token).await;
        assert_eq!(told.status, 200, "{told:?}");
        assert_eq!(told.headers["cache-control"], "no-store");
        assert_eq!(
            told.body,
            json!({ "sub": "alice-1", "email": "alice@example.com" })
        );
    }
    assert_eq!(answer.claims("id_token")["sub"], "alice-1");
    let put = userinfo(&provider, Method::PUT, &token).await;
    assert_eq!(put.status, 405, "C-005");
    provider.server.stop().await;
}

#[tokio::test]
async fn c_309_a_missing_or_bad_token_is_told_how_to_authenticate() {
    let provider = provider().await;
    let missing = Answer::of(provider.post("/oauth2/userinfo")).await;
    assert_eq!(
        (missing.refusal(), &missing.headers["www-authenticate"]),
        ((401, "invalid_token"), &"Bearer".parse().unwrap())
    );
    let good = tokens(
        &provider,
        &[("scope", "openid email"), ("resource", "https://api.example")],
    )
    .await;
    let id_token = good.text("id_token");
    let mut broken = good.text("access_token");
    broken.pop();
    // A token for another resource is not good here, even though we signed it.
    for bad in ["x", "a.b.c", &id_token, &broken, &good.text("access_token")] {
        let refused = userinfo(&provider, Method::GET, bad).await;
        assert_eq!(refused.refusal(), (401, "invalid_token"), "{bad}");
        let challenge = refused.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with("Bearer error="), "{challenge}");
    }
    provider.server.stop().await;
}

#[tokio::test]
async fn c_023_a_client_acts_for_itself_and_gets_an_access_token_alone() {
    let provider = provider().await;
    let ask = async |client: &str, with: &[(&str, &str)]| {
        let form = [&[("grant_type", " client_credentials ")], with].concat();
        provider.form_as(client, "/oauth2/token", &form).await
    };
    let granted = ask("machine", &[("resource", "https://api.example")]).await;
    assert_eq!(granted.status, 200, "{granted:?}");
    assert_eq!(granted.body["scope"], "reports");
    for absent in ["id_token", "refresh_token"] {
        assert!(granted.body.get(absent).is_none(), "{absent}");
    }
    let claims = granted.claims("access_token");
    assert_eq!(
        (&claims["sub"], &claims["aud"]),
        (&json!("machine"), &json!("https://api.example"))
    );
    assert!(claims.get("act").is_none());
    for (client, with, code) in [
        ("machine", ("scope", "openid"), "invalid_scope"),
        ("machine", ("scope", "email"), "invalid_scope"),
        (
            "machine",
            ("resource", "https://unknown.example"),
            "invalid_target",
        ),
        ("agent", ("scope", "reports"), "unauthorized_client"),
    ] {
        assert_eq!(
            ask(client, &[with]).await.refusal(),
            (400, code),
            "{client} {with:?}"
        );
    }
    let own = ask("machine", &[]).await.text("access_token");
    assert_eq!(
        userinfo(&provider, Method::GET, &own).await.refusal(),
        (401, "invalid_token")
    );
    provider.server.stop().await;
}

//! Clients that are disabled, removed or narrowed: what they were granted before goes with it (C-054, C-302).

use serde_json::Value;

use crate::kit::ciba::{ASK, Answer, Provider, SECRET, client, site};

const CIBA: &str = "urn:openid:params:grant-type:ciba";
const OFFLINE: (&str, &str) = ("scope", "openid email offline_access");

/// Asks as this client; returns the `auth_req_id`.
async fn asked(provider: &Provider, (id, secret): (&str, &str), with: &[(&str, &str)]) -> String {
    let form = [&ASK[1..], &[OFFLINE], with].concat();
    let request = provider.post("/oauth2/bc-authorize").basic_auth(id, Some(secret));
    let asked = Answer::of(request.form(&form)).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    asked.text("auth_req_id")
}

async fn poll(provider: &Provider, (id, secret): (&str, &str), auth_req_id: &str) -> Answer {
    let form = [("grant_type", CIBA), ("auth_req_id", auth_req_id)];
    let request = provider.post("/oauth2/token").basic_auth(id, Some(secret));
    Answer::of(request.form(&form)).await
}

/// Asks as this client, lets the person say yes, and returns the tokens.
async fn tokens(provider: &Provider, (id, secret): (&str, &str), with: &[(&str, &str)]) -> Answer {
    let asked = asked(provider, (id, secret), with).await;
    assert_eq!(provider.allow(&asked).await.status, 204);
    let answer = poll(provider, (id, secret), &asked).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

async fn refresh(
    provider: &Provider,
    (id, secret): (&str, &str),
    token: &str,
    with: &[(&str, &str)],
) -> Answer {
    let form = [&[("grant_type", "refresh_token"), ("refresh_token", token)], with].concat();
    let request = provider.post("/oauth2/token").basic_auth(id, Some(secret));
    Answer::of(request.form(&form)).await
}

/// Whether an access token is good: the answer of userinfo.
async fn userinfo(provider: &Provider, tokens: &Answer) -> Answer {
    let request = crate::kit::browser::http().get(provider.url("/oauth2/userinfo"));
    Answer::of(request.bearer_auth(tokens.text("access_token"))).await
}

/// An administrator adds this client; returns its secret.
async fn add(provider: &Provider, id: &str, grants: &[&str]) -> String {
    let grants = grants.iter().flat_map(|grant| ["--grant", grant]);
    let arguments: Vec<_> = ["--id", id, "--mode", "poll", "--json"]
        .into_iter()
        .chain(grants)
        .collect();
    let added: Value = provider.admin("client add", &arguments).await;
    added["client_secret"].as_str().unwrap().to_owned()
}

const GONE: (u16, &str) = (401, "invalid_token");

#[tokio::test]
async fn c_054_a_token_is_good_only_while_its_client_is_there_and_enabled() {
    let provider = Provider::plain().await;
    let secret = add(&provider, "late", &[CIBA, "refresh_token"]).await;
    let first = tokens(&provider, ("late", &secret), &[]).await;
    assert_eq!(userinfo(&provider, &first).await.status, 200);
    provider.admin("client disable", &["late"]).await;
    assert_eq!(userinfo(&provider, &first).await.refusal(), GONE);
    let token = first.text("refresh_token");
    let refused = refresh(&provider, ("late", &secret), &token, &[]).await;
    assert_eq!(refused.refusal(), (401, "invalid_client"));
    provider.admin("client enable", &["late"]).await;
    assert_eq!(userinfo(&provider, &first).await.status, 200);
    let first = refresh(&provider, ("late", &secret), &token, &[]).await;
    assert_eq!(first.status, 200, "{first:?}");
    provider.admin("client remove", &["late"]).await;
    assert_eq!(userinfo(&provider, &first).await.refusal(), GONE);
    // Another client of the same id, even in the same second, is another client.
    let secret = add(&provider, "late", &[CIBA, "refresh_token"]).await;
    assert_eq!(userinfo(&provider, &first).await.refusal(), GONE);
    let token = first.text("refresh_token");
    let refused = refresh(&provider, ("late", &secret), &token, &[]).await;
    assert_eq!(refused.refusal(), (400, "invalid_grant"));
    let own = tokens(&provider, ("late", &secret), &[]).await;
    assert_eq!(userinfo(&provider, &own).await.status, 200);
    provider.server.stop().await;
}

#[tokio::test]
async fn c_302_a_refresh_gives_what_the_client_still_may_have() {
    let wide = "scope = \"openid email offline_access\"\nterms.resources = [\"https://a.example\", \"https://b.example\"]";
    let resources = "[oauth]\nresources = [\"https://a.example\", \"https://b.example\"]\n";
    let mut provider = Provider::start(site("").and(client("wide", wide)).and(resources)).await;
    let own = ("wide", SECRET);
    let both = [
        ("resource", "https://a.example"),
        ("resource", "https://b.example"),
    ];
    let before = tokens(&provider, own, &both).await;
    let only_b = tokens(&provider, own, &both[1..]).await;
    provider.site.change(
        wide,
        "scope = \"openid offline_access\"\nterms.resources = [\"https://a.example\"]",
    );
    provider = provider.crash().await;
    let token = before.text("refresh_token");
    for (parameter, code) in [
        (("scope", "email"), "invalid_scope"),
        (("scope", "openid email"), "invalid_scope"),
        (("resource", "https://b.example"), "invalid_target"),
    ] {
        let refused = refresh(&provider, own, &token, &[parameter]).await;
        assert_eq!(refused.refusal(), (400, code), "{parameter:?}");
    }
    let after = refresh(&provider, own, &token, &[]).await;
    assert_eq!(after.body["scope"], "openid offline_access");
    assert_eq!(after.claims("access_token")["aud"], "https://a.example");
    // What is left of an audience is never none: that would be this server itself.
    let refused = refresh(&provider, own, &only_b.text("refresh_token"), &[]).await;
    assert_eq!(refused.refusal(), (400, "invalid_target"));
    provider
        .site
        .change("scope = \"openid offline_access\"", "scope = \"profile\"");
    provider = provider.crash().await;
    let refused = refresh(&provider, own, &after.text("refresh_token"), &[]).await;
    assert_eq!(refused.refusal(), (400, "invalid_scope"));
    provider.server.stop().await;
}

#[tokio::test]
async fn c_302_whoever_was_granted_offline_access_has_a_refresh_token_and_nobody_else_uses_it() {
    let provider = Provider::plain().await;
    let secret = add(&provider, "once", &[CIBA]).await;
    let own = tokens(&provider, ("once", &secret), &[]).await;
    let again = refresh(&provider, ("once", &secret), &own.text("refresh_token"), &[]).await;
    assert_eq!(again.status, 200, "{again:?}");
    let asked = provider.ask_as("agent", &[("scope", "openid email")]).await;
    let asked = asked.text("auth_req_id");
    provider.allow(&asked).await;
    let online = provider.poll(&asked).await;
    assert!(
        online.status == 200 && online.body.get("refresh_token").is_none(),
        "{online:?}"
    );
    let other = tokens(&provider, ("agent", SECRET), &[])
        .await
        .text("refresh_token");
    let refused = refresh(&provider, ("once", &secret), &other, &[]).await;
    assert_eq!(refused.refusal(), (400, "invalid_grant"));
    assert_eq!(
        refresh(&provider, ("agent", SECRET), &other, &[]).await.status,
        200
    );
    provider.server.stop().await;
}

#[tokio::test]
async fn c_229_c_264_the_requests_of_a_client_that_was_removed_are_not_its_successors() {
    let provider = Provider::plain().await;
    let secret = add(&provider, "late", &[CIBA]).await;
    let approved = asked(&provider, ("late", &secret), &[]).await;
    let pending = asked(&provider, ("late", &secret), &[]).await;
    assert_eq!(provider.allow(&approved).await.status, 204);
    provider.admin("client remove", &["late"]).await;
    let secret = add(&provider, "late", &[CIBA]).await;
    for request in [&approved, &pending] {
        let refused = poll(&provider, ("late", &secret), request).await;
        assert_eq!(refused.refusal(), (400, "invalid_grant"));
    }
    let refused = provider.allow(&pending).await;
    assert_eq!(refused.refusal(), (400, "invalid_request"));
    provider.server.stop().await;
}

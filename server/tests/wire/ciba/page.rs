//! C-109, C-225, C-231, C-233: the approval page, over HTTP.

use serde_json::{Value, json};

use crate::kit::browser::{Browser, Page};
use crate::kit::ciba::{Provider, site_at};
use crate::kit::idp::Idp;

/// Starts a server whose provider signs in this person; `ciba` is TOML of its section.
async fn with(sub: &str, ciba: &str) -> (Idp, Provider) {
    let idp = Idp::start().await;
    let sub = json!(sub);
    idp.script(|script| script.claims = vec![("sub", sub)]);
    let provider = Provider::start(site_at(&idp.issuer, ciba)).await;
    (idp, provider)
}

fn page(provider: &Provider, id: &str) -> String {
    provider.url(&format!("/ciba/approve?auth_req_id={id}"))
}

async fn answer(provider: &Provider, browser: &mut Browser, (shown, decision): (&Page, &str)) -> Page {
    let form = [
        ("auth_req_id", shown.hidden("auth_req_id")),
        ("form_token", shown.hidden("form_token")),
        ("decision", decision),
    ];
    browser.post(&provider.url("/ciba/approve"), &form).await
}

#[tokio::test]
async fn c_233_a_person_signs_in_is_brought_back_and_decides() {
    let (_idp, provider) = with("alice-1", "").await;
    for (decision, outcome, polled) in [
        ("approve", "approved", (200, "")),
        ("deny", "denied", (400, "access_denied")),
    ] {
        let id = provider.asked(&[("binding_message", "W4SCT")]).await;
        let mut browser = Browser::new();
        let shown = browser.open(&page(&provider, &id)).await;
        assert_eq!(
            (shown.status.as_u16(), shown.url.as_str()),
            (200, &*page(&provider, &id))
        );
        assert!(
            shown.body.contains("The agent") && shown.body.contains("W4SCT"),
            "{}",
            shown.body
        );
        let policy = shown.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"));
        assert_eq!(shown.headers["referrer-policy"], "no-referrer");
        assert_eq!(shown.headers["cache-control"], "no-store");
        let end = answer(&provider, &mut browser, (&shown, decision)).await;
        assert_eq!((end.status.as_u16(), end.outcome()), (200, outcome));
        assert_eq!(provider.poll(&id).await.refusal(), polled);
        let again = answer(&provider, &mut browser, (&shown, decision)).await;
        assert!(
            ["unknown", "was-denied"].contains(&again.outcome()),
            "{}",
            again.outcome()
        );
    }
    let log = provider.server.stop().await;
    assert!(!log.contains("auth_req_id="), "{log}");
}

#[tokio::test]
async fn c_225_another_persons_request_is_neither_shown_nor_decided() {
    let (_idp, provider) = with("bob-2", "").await;
    let id = provider.asked(&[("binding_message", "W4SCT")]).await;
    let mut browser = Browser::new();
    let told = browser.open(&page(&provider, &id)).await;
    assert_eq!((told.status.as_u16(), told.outcome()), (403, "foreign"));
    assert!(
        !told.body.contains("W4SCT") && !told.body.contains("alice"),
        "{}",
        told.body
    );
    let own = provider.asked(&[("login_hint", "bob@example.com")]).await;
    let shown = browser.open(&page(&provider, &own)).await;
    let form = [
        ("auth_req_id", &*id),
        ("form_token", shown.hidden("form_token")),
        ("decision", "approve"),
    ];
    let refused = browser.post(&provider.url("/ciba/approve"), &form).await;
    assert_eq!(refused.outcome(), "foreign");
    assert_eq!(provider.poll(&id).await.refusal(), (400, "authorization_pending"));
    provider.server.stop().await;
}

#[tokio::test]
async fn c_231_a_form_of_another_site_decides_nothing() {
    let (_idp, provider) = with("alice-1", "").await;
    let id = provider.asked(&[]).await;
    let mut browser = Browser::new();
    let shown = browser.open(&page(&provider, &id)).await;
    let other = Browser::new().open(&page(&provider, &id)).await;
    for token in ["", "guessed", other.hidden("form_token")] {
        let form = [
            ("auth_req_id", &*id),
            ("form_token", token),
            ("decision", "approve"),
        ];
        let refused = browser.post(&provider.url("/ciba/approve"), &form).await;
        assert_eq!(
            (refused.status.as_u16(), refused.outcome()),
            (403, "stale"),
            "{token}"
        );
        let without = Browser::new().post(&provider.url("/ciba/approve"), &form).await;
        assert_eq!(without.outcome(), "stale", "no session");
    }
    assert_eq!(provider.poll(&id).await.refusal(), (400, "authorization_pending"));

    let sign_out = [("form_token", shown.hidden("form_token"))];
    let out = browser.post(&provider.url("/ciba/sign-out"), &sign_out).await;
    assert_eq!(
        (out.outcome(), browser.cookie("ciba-session")),
        ("signed-out", None)
    );
    let late = answer(&provider, &mut browser, (&shown, "approve")).await;
    assert_eq!(late.outcome(), "stale");
    provider.server.stop().await;
}

#[tokio::test]
async fn c_109_a_request_that_needs_a_new_sign_in_gets_one() {
    let sensitive = "acr_values = [\"mfa\"]\n[ciba.terminal]\nfresh_login_scopes = [\"profile\"]";
    let (idp, provider) = with("alice-1", sensitive).await;
    let says = |auth_time: Value| {
        idp.script(|script| {
            script.claims = vec![("sub", json!("alice-1")), ("auth_time", auth_time)];
        });
    };
    says(json!(1_000));
    let mut browser = Browser::new();
    let plain = provider.asked(&[]).await;
    assert_eq!(browser.open(&page(&provider, &plain)).await.status, 200);
    assert_eq!(idp.seen().authorize("prompt"), None);

    let fresh = provider
        .asked(&[("scope", "openid profile"), ("acr_values", "mfa")])
        .await;
    assert_eq!(browser.open(&page(&provider, &fresh)).await.outcome(), "not-anew");
    says(json!(u64::from(u32::MAX)));
    let shown = browser.open(&page(&provider, &fresh)).await;
    let seen = idp.seen();
    for (name, value) in [("prompt", "login"), ("max_age", "0"), ("acr_values", "mfa")] {
        assert_eq!(seen.authorize(name), Some(value));
    }
    assert_eq!(
        answer(&provider, &mut browser, (&shown, "approve"))
            .await
            .outcome(),
        "approved"
    );
    provider.server.stop().await;
}

#[tokio::test]
async fn c_109_c_306_what_the_person_has_proved_comes_back_in_the_id_token() {
    let (idp, provider) = with("alice-1", "acr_values = [\"mfa\"]").await;
    idp.script(|script| {
        script.claims = vec![
            ("sub", json!("alice-1")),
            ("acr", json!("mfa")),
            ("amr", json!(["pwd", "otp"])),
        ];
    });
    let id = provider.asked(&[("acr_values", "phr mfa")]).await;
    let mut browser = Browser::new();
    let shown = browser.open(&page(&provider, &id)).await;
    answer(&provider, &mut browser, (&shown, "approve")).await;
    let claims = provider.poll(&id).await.claims("id_token");
    assert_eq!(
        (&claims["acr"], &claims["amr"]),
        (&json!("mfa"), &json!(["pwd", "otp"]))
    );
    provider.server.stop().await;
}

#[tokio::test]
async fn c_267_a_request_whose_person_was_disabled_since_is_shown_to_nobody() {
    let (_idp, provider) = with("carol-3", "login_hint = [\"subject\"]").await;
    let mut browser = Browser::new();
    browser.open(&provider.url("/login?to=/healthz")).await;
    let id = provider.asked(&[("login_hint", "carol-3")]).await;
    let shown = browser.open(&page(&provider, &id)).await;
    assert_eq!(shown.status, 200);
    provider.admin("user disable", &["carol-3"]).await;
    assert_eq!(provider.verify(&id).await.refusal(), (403, "access_denied"));
    assert_eq!(provider.allow(&id).await.refusal(), (403, "access_denied"));
    assert_eq!(
        answer(&provider, &mut browser, (&shown, "approve"))
            .await
            .outcome(),
        "unknown"
    );
    for mut looking in [browser, Browser::new()] {
        let told = looking.get(&page(&provider, &id)).await;
        assert_eq!((told.status.as_u16(), told.outcome()), (404, "unknown"));
    }
    provider.admin("user enable", &["carol-3"]).await;
    assert_eq!(provider.verify(&id).await.text("status"), "pending");
    provider.server.stop().await;
}

#[tokio::test]
async fn c_210_check_and_start_refuse_an_approval_page_where_the_server_itself_answers() {
    let (_idp, mut provider) = with("alice-1", "").await;
    provider.server.stop().await;
    provider.site = provider.site.with("CIBA__APPROVAL_PAGE", "/ciba/verify");
    for command in ["check", "serve"] {
        let refused = provider.site.run(command).await;
        assert!(!refused.status.success());
        assert!(
            refused
                .stderr
                .contains("ciba.approval_page: is a path of the server itself"),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn c_233_what_cannot_be_approved_is_said_without_a_sign_in() {
    let (idp, provider) = with("alice-1", "").await;
    for (query, outcome) in [
        ("", "unknown"),
        ("?auth_req_id=x", "unknown"),
        ("?auth_req_id=a&auth_req_id=b", "unknown"),
    ] {
        let told = Browser::new()
            .get(&provider.url(&format!("/ciba/approve{query}")))
            .await;
        assert_eq!((told.status.as_u16(), told.outcome()), (404, outcome), "{query}");
    }
    let id = provider.asked(&[]).await;
    provider.deny(&id).await;
    assert_eq!(
        Browser::new().get(&page(&provider, &id)).await.outcome(),
        "was-denied"
    );
    assert!(idp.seen().authorize.is_none());
    provider.server.stop().await;
}

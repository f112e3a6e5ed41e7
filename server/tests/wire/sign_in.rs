//! C-109, C-231, C-233: a person signs in to a browser session, and out of it.

use serde_json::json;
use store::Space;

use crate::kit::browser::Browser;
use crate::kit::idp::{ACCESS_TOKEN, Answer, Authorize, CODE, Idp, REFRESH_TOKEN, Script};
use crate::kit::leak::{assert_unsaid, holds};
use crate::kit::link::Link;
use crate::kit::server::Server;
use crate::kit::session::{RESOURCE, Session};
use crate::kit::site::Site;

const COOKIE: &str = "ciba-session";

/// Starts a server that asks people for their consent.
async fn asking(idp: &Idp) -> (Site, Server) {
    let mut site = Site::new(&idp.issuer).and("[ciba]\nenabled = true");
    let server = site.start().await;
    (site, server)
}

async fn at(script: impl FnOnce(&mut Script)) -> (Idp, Site, Server) {
    let idp = Idp::start().await;
    idp.script(script);
    let (site, server) = asking(&idp).await;
    (idp, site, server)
}

fn to_sign_in(server: &Server, query: &str) -> String {
    format!("{}/login?{query}", server.url)
}

#[tokio::test]
async fn c_233_a_person_signs_in_and_is_brought_back() {
    let (idp, site, server) = at(|_| ()).await;
    let mut browser = Browser::new();
    let out = browser
        .get(&to_sign_in(&server, "to=/style.css%3Fa=the-place"))
        .await;
    assert_eq!(out.status, 303);
    for (file, bytes) in site.dump() {
        assert!(!holds(&bytes, b"the-place"), "{file} says where the person goes");
    }
    let back = browser.get(&out.redirect().unwrap()).await.redirect().unwrap();
    let landed = browser.get(&back).await;
    assert_eq!(
        landed.redirect().unwrap(),
        format!("{}/style.css?a=the-place", server.url)
    );
    let cookies = landed.headers.get_all("set-cookie").iter();
    let cookie = cookies.map(|cookie| cookie.to_str().unwrap()).next().unwrap();
    let (pair, attributes) = cookie.split_once(';').unwrap();
    assert_eq!(attributes, " HttpOnly; SameSite=Lax; Path=/");
    assert!(pair.starts_with("ciba-session=") && pair.len() > 50, "{pair}");
    assert_eq!(site.count(Space::Browser).await, 1);

    assert_eq!(browser.get(&back).await.outcome(), "already-used");
    let seen = idp.seen();
    assert_eq!(
        seen.authorize("scope"),
        Some("openid profile"),
        "no token is needed"
    );
    for absent in ["prompt", "max_age", "acr_values", "resource"] {
        assert_eq!(seen.authorize(absent), None);
    }
    let value = browser.cookie(COOKIE).unwrap().to_owned();
    for (file, bytes) in site.dump() {
        for secret in [&value, ACCESS_TOKEN, REFRESH_TOKEN, CODE] {
            assert!(!holds(&bytes, secret.as_bytes()), "{file} holds a secret");
        }
    }
    assert_unsaid(
        &server.stop().await,
        &[&value, ACCESS_TOKEN, REFRESH_TOKEN, CODE, "the-place"],
    );
}

#[tokio::test]
async fn c_233_a_link_brings_nobody_to_another_site() {
    let (_idp, site, server) = at(|_| ()).await;
    for query in [
        "",
        "to=",
        "to=//evil.test/",
        "to=/%5Cevil.test",
        "to=https://evil.test/",
        "to=/%09/evil.test",
    ] {
        let page = Browser::new().get(&to_sign_in(&server, query)).await;
        assert_eq!(
            (page.status.as_u16(), page.outcome()),
            (404, "not-found"),
            "{query}"
        );
    }
    assert_eq!(site.attempts().await, 0);
    server.stop().await;
}

#[tokio::test]
async fn c_109_what_a_person_must_prove_reaches_the_provider_and_its_word_is_needed() {
    let (idp, site, server) = at(|_| ()).await;
    let url = to_sign_in(&server, "to=/healthz&fresh=true&acr_values=urn:mfa+phr");
    let page = Browser::new().open(&url).await;
    assert_eq!(
        (page.status.as_u16(), page.outcome()),
        (403, "not-anew"),
        "no auth_time"
    );
    idp.script(|script| script.claims = vec![("auth_time", json!(1_000_000))]);
    assert_eq!(Browser::new().open(&url).await.outcome(), "not-anew", "long ago");
    assert_eq!(site.count(Space::Browser).await, 0);
    let seen = idp.seen();
    assert_eq!(seen.authorize("prompt"), Some("login"));
    assert_eq!(seen.authorize("max_age"), Some("0"));
    assert_eq!(seen.authorize("acr_values"), Some("urn:mfa phr"));

    idp.script(|script| script.claims = vec![("auth_time", json!(u64::from(u32::MAX)))]);
    assert_eq!(Browser::new().open(&url).await.status, 200);
    assert_eq!(site.count(Space::Browser).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn c_231_signing_in_gives_a_new_cookie_and_ends_the_session_before() {
    let (_idp, site, server) = at(|_| ()).await;
    let url = to_sign_in(&server, "to=/healthz");
    let mut browser = Browser::new();
    browser.plant(COOKIE, "planted");
    browser.open(&url).await;
    let first = browser.cookie(COOKIE).unwrap().to_owned();
    assert_ne!(first, "planted");
    browser.open(&url).await;
    assert_ne!(browser.cookie(COOKIE), Some(&*first));
    assert_eq!(site.count(Space::Browser).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn c_231_another_site_signs_nobody_out() {
    let (_idp, site, server) = at(|_| ()).await;
    let mut browser = Browser::new();
    browser.open(&to_sign_in(&server, "to=/healthz")).await;
    let sign_out = format!("{}/ciba/sign-out", server.url);
    for form in [&[][..], &[("form_token", "guessed")]] {
        let page = browser.post(&sign_out, form).await;
        assert_eq!((page.status.as_u16(), page.outcome()), (403, "stale"));
    }
    assert_eq!(site.count(Space::Browser).await, 1);
    assert_eq!(Browser::new().post(&sign_out, &[]).await.outcome(), "signed-out");
    server.stop().await;
}

#[tokio::test]
async fn c_233_a_person_who_is_not_signed_in_is_told_why() {
    for (script, outcome) in [
        (
            Script {
                authorize: Authorize::Error("access_denied"),
                ..Script::default()
            },
            "refused",
        ),
        (
            Script {
                token: Answer::Status(500),
                ..Script::default()
            },
            "provider-down",
        ),
    ] {
        let (_idp, site, server) = at(|given| *given = script).await;
        let page = Browser::new().open(&to_sign_in(&server, "to=/healthz")).await;
        assert_eq!(page.outcome(), outcome);
        assert_eq!(site.count(Space::Browser).await, 0);
        server.stop().await;
    }
}

#[tokio::test]
async fn c_181_a_person_who_signs_in_is_known_by_what_the_provider_has_verified() {
    let (_idp, site, server) = at(|script| {
        script.claims = vec![
            ("email", json!("alice@example.com")),
            ("email_verified", json!(true)),
            ("preferred_username", json!("alice")),
            ("phone_number", json!("+49 30 1")),
        ];
    })
    .await;
    let session = Session::begin_for(&server, RESOURCE).await;
    let mut link = Link::connect(&server, &session).await;
    assert_eq!(Browser::new().confirm(session.url()).await.outcome(), "signed-in");
    link.until_status("active").await;
    // The person, and three names that lead there: the phone number is not verified.
    assert_eq!(site.count(Space::User).await, 4);
    Browser::new().open(&to_sign_in(&server, "to=/healthz")).await;
    assert_eq!(site.count(Space::User).await, 4);
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_asks_nobody_for_consent_remembers_nobody() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let session = Session::begin(&server).await;
    let mut link = Link::connect(&server, &session).await;
    assert_eq!(Browser::new().confirm(session.url()).await.outcome(), "signed-in");
    link.until_status("active").await;
    assert_eq!(Browser::new().get(&to_sign_in(&server, "to=/")).await.status, 404);
    assert_eq!(site.count(Space::User).await, 0);
    server.stop().await;
}

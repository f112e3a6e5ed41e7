//! D-020 … D-022: the person's way out to the provider and back.

use crate::kit::browser::Browser;
use crate::kit::idp::{Answer, CODE, Idp, REFRESH_TOKEN};
use crate::kit::leak::assert_unsaid;
use crate::kit::link::Link;
use crate::kit::server::Server;
use crate::kit::session::Session;
use crate::kit::site::{CLIENT_SECRET, Site};
use crate::kit::until;

#[tokio::test]
async fn d_020_the_page_asks_whether_it_was_them() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    let page = Browser::new().get(session.url()).await;
    assert_eq!(page.status, 200);
    for shown in ["laptop", "127.0.0.1", session.begun["userCode"].as_str().unwrap()] {
        assert!(
            page.body.contains(&format!(">{shown}<")),
            "no {shown} in {}",
            page.body
        );
    }
    assert!(
        page.body.contains("just now") || page.body.contains("seconds ago"),
        "{}",
        page.body
    );
    assert_unsaid(&server.stop().await, &[session.id.as_str()]);
}

#[tokio::test]
async fn d_020_nobody_gets_past_the_page_by_a_link() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let session = Session::begin(&server).await;
    let past = format!("{}/continue", session.url());
    let mut browser = Browser::new();
    let back = browser.get(&past).await.redirect();
    assert_eq!(back.as_deref(), Some(session.url()), "no cookie, no proof");

    let shown = browser.get(session.url()).await.continue_url();
    assert_eq!(
        browser.get(&past).await.redirect().as_deref(),
        Some(session.url()),
        "no proof"
    );
    assert_eq!(
        browser.get(&format!("{past}?seen=x")).await.redirect().as_deref(),
        Some(session.url())
    );
    let other = Browser::new().get(&shown).await.redirect();
    assert_eq!(
        other.as_deref(),
        Some(session.url()),
        "the proof of another browser"
    );
    assert!(
        browser
            .get(&shown)
            .await
            .redirect()
            .unwrap()
            .starts_with(&idp.issuer)
    );
    assert!(idp.seen().token.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn d_020_the_operator_may_leave_the_page_out() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer)
        .with("LOGIN__CONFIRM", "none")
        .start()
        .await;
    let session = Session::begin(&server).await;
    let mut link = Link::connect(&server, &session).await;
    let mut browser = Browser::new();
    let out = browser.get(session.url()).await;
    assert!(out.redirect().unwrap().starts_with(&idp.issuer));
    assert_eq!(browser.open(session.url()).await.outcome(), "signed-in");
    link.until_status("active").await;
    server.stop().await;
}

#[tokio::test]
async fn d_021_the_provider_is_asked_with_pkce_state_and_nonce() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let session = Session::begin(&server).await;
    let mut link = Link::connect(&server, &session).await;
    assert_eq!(Browser::new().confirm(session.url()).await.outcome(), "signed-in");
    link.until_status("active").await;
    let seen = idp.seen();
    let asked = seen.authorize.unwrap();
    let asked = |name: &str| {
        asked
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .unwrap()
    };
    assert_eq!((asked("response_type"), asked("client_id")), ("code", "ciba"));
    assert_eq!(asked("redirect_uri"), format!("{}/auth/callback", server.url));
    assert_eq!(
        (asked("code_challenge_method"), asked("code_challenge").len()),
        ("S256", 43)
    );
    assert!(asked("state").len() >= 22 && asked("nonce").len() >= 22);
    assert_eq!(asked("scope"), "openid profile offline_access");
    let [spent] = &seen.token[..] else {
        panic!("the code is spent once")
    };
    let spent = |name: &str| {
        spent
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .unwrap()
    };
    assert_eq!((spent("grant_type"), spent("code")), ("authorization_code", CODE));
    assert_eq!(
        device_proto::Verifier::of(spent("code_verifier")).to_string(),
        asked("code_challenge")
    );
    let secrets = [
        CODE,
        asked("state"),
        asked("nonce"),
        spent("code_verifier"),
        CLIENT_SECRET,
        REFRESH_TOKEN,
    ];
    assert_unsaid(&server.stop().await, &secrets);
}

#[tokio::test]
async fn d_022_a_device_that_is_away_may_come_back_before_the_code_is_spent() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let session = Session::begin(&server).await;
    let mut browser = Browser::new();
    let back = browser.confirm_until_callback(session.url()).await;
    assert_eq!(site.attempts().await, 1);
    let callback = tokio::spawn(async move { browser.get(&back).await });
    // The attempt is taken first; then the callback waits for the device.
    until("the attempt to be taken", async || {
        (site.attempts().await == 0).then_some(())
    })
    .await;
    let mut link = Link::connect(&server, &session).await;
    assert_eq!(callback.await.unwrap().outcome(), "signed-in");
    link.until_status("active").await;
    server.stop().await;
}

/// Waits: see [`super::deadlines`].
pub(super) async fn d_022_a_device_that_stays_away_costs_no_code() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let session = Session::begin(&server).await;
    let page = Browser::new().confirm(session.url()).await;
    assert_eq!((page.status.as_u16(), page.outcome()), (410, "no-longer-waiting"));
    assert!(idp.seen().token.is_empty(), "the code was not spent");
    server.stop().await;
}

#[tokio::test]
async fn d_022_a_callback_works_once_and_only_in_its_browser() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let session = Session::begin(&server).await;
    let mut link = Link::connect(&server, &session).await;

    let stolen = Browser::new().confirm_until_callback(session.url()).await;
    let page = Browser::new().get(&stolen).await;
    assert_eq!(
        (page.status.as_u16(), page.outcome()),
        (409, "already-used"),
        "another browser"
    );
    let mut third = Browser::new();
    third.get(session.url()).await;
    assert_eq!(
        third.get(&stolen).await.outcome(),
        "already-used",
        "a browser with a cookie of its own"
    );
    assert!(idp.seen().token.is_empty());

    let mut browser = Browser::new();
    let back = browser.confirm_until_callback(session.url()).await;
    assert_eq!(browser.get(&back).await.outcome(), "signed-in");
    assert_eq!(browser.get(&back).await.outcome(), "already-used");
    assert_eq!(idp.seen().token.len(), 1);
    for made_up in [
        "",
        "?state=x&code=y",
        &format!("?state={}", "x".repeat(4000)),
        "?code=a&code=b",
    ] {
        let page = browser
            .get(&format!("{}/auth/callback{made_up}", server.url))
            .await;
        assert!(page.status.is_client_error(), "{made_up}: {}", page.status);
    }
    link.until_status("active").await;
    assert_eq!(browser.get(session.url()).await.outcome(), "already-used");
    server.stop().await;
}

#[tokio::test]
async fn d_022_a_device_that_comes_back_while_the_code_is_spent_gets_its_token() {
    let idp = Idp::start().await;
    idp.script(|script| script.token = Answer::Held);
    let server = Site::new(&idp.issuer).start().await;
    let session = Session::begin(&server).await;
    let link = Link::connect(&server, &session).await;
    let login = Browser::confirming(&session);
    idp.until_seen(|seen| !seen.token.is_empty()).await;
    link.leave().await;
    let mut link = Link::connect(&server, &session).await;
    idp.script(|script| script.token = Answer::Good);
    assert_eq!(login.await.unwrap().outcome(), "signed-in");
    link.until_status("active").await;
    server.stop().await;
}

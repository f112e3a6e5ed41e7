//! D-043 and the session's end: what the provider gives for a login, and what becomes of it when things fail.

use device_proto::ask::Ask;
use serde_json::json;

use crate::kit::browser::Browser;
use crate::kit::idp::{
    ACCESS_TOKEN, Answer, Idp, LIFETIME, REFRESH_TOKEN, RENEWED_LIFETIME, access_token, refresh_token,
};
use crate::kit::link::{EVER, LONG, Link, ready};
use crate::kit::login::{Login, signed_in};
use crate::kit::session::{API, OTHER, RESOURCE, Session};
use crate::kit::site::Site;
use crate::kit::until;

/// Asks of one device at once.
const ASKS: usize = 16;

#[tokio::test]
async fn a_login_without_a_refresh_token_says_when_it_ends_and_lasts_until_then() {
    let mut login = Login::done_at(|script| script.no_refresh_token = true).await;
    let (_, end) = login.link.held(RESOURCE);
    assert_eq!(login.link.session["expires_at"], end.to_string());
    for resource in [RESOURCE, OTHER] {
        login.link.gets(resource, Some(EVER)).await;
        assert_eq!(
            login.link.held(resource).0,
            ACCESS_TOKEN,
            "there is no longer one"
        );
    }
    assert_eq!(login.link.session["status"], "active");
    login.server.stop().await;
}

#[tokio::test]
async fn d_043_a_login_without_a_refresh_token_that_has_ended_asks_for_a_new_one() {
    let mut login = Login::done_at(|script| {
        script.no_refresh_token = true;
        script.lifetime = Some(1);
    })
    .await;
    until("the login's end", async || {
        let reply = login.link.asked(RESOURCE, Some(0)).await;
        (reply != ready("ask", RESOURCE)).then_some(())
    })
    .await;
    login.link.until_status("failed").await;
    assert_eq!(login.link.session["error"], "login_required");
    login.server.stop().await;
}

#[tokio::test]
async fn a_refresh_token_that_ends_is_when_the_session_ends() {
    let login = Login::done_at(|script| script.refresh_expires_in = Some(86_400)).await;
    let (_, token_ends) = login.link.held(RESOURCE);
    let ends: u64 = login.link.session["expires_at"].parse().unwrap();
    assert!((86_400 - LIFETIME - 1..=86_400 - LIFETIME + 1).contains(&(ends - token_ends)));
    login.idp.script(|script| script.refresh_expires_in = Some(0));
    let (_session, link) = signed_in(&login.server, RESOURCE).await;
    assert!(
        !link.session.contains_key("expires_at"),
        "0 stands for an unknown end"
    );
    login.server.stop().await;
}

/// The provider has spent the old refresh token when the store fails: the new one must not be lost.
/// Waits: see [`super::deadlines`].
pub(super) async fn d_043_a_rotated_refresh_token_that_the_store_would_not_keep_is_kept_when_it_will() {
    let mut login = Login::done_at(|script| script.refresh = Answer::Held).await;
    login.link.replies.clear();
    login.link.ask_for("ask", RESOURCE, Some(LONG)).await;
    for n in 1..ASKS {
        login
            .link
            .ask_for(&n.to_string(), &format!("urn:d:{n}"), Some(LONG))
            .await;
    }
    login
        .idp
        .until_seen(|seen| !seen.refreshed_with().is_empty())
        .await;
    login.link.caught_up().await;
    let before = login.site.stage(&login.session).await;
    let lock = login.site.lock_database();
    login.idp.script(|script| script.refresh = Answer::Good);
    login.link.until(|link| link.replies.len() == ASKS).await;
    for reply in &login.link.replies {
        let told = serde_json::to_value(reply).unwrap();
        assert_eq!(told["error"], "temporarily_unavailable");
    }
    assert_eq!(
        login.link.held(RESOURCE).0,
        ACCESS_TOKEN,
        "nothing is shown that is not kept"
    );
    // Its device leaves, and the server goes on trying.
    login.link.leave().await;
    drop(lock);
    login.site.until_stage_differs(&login.session, &before).await;
    login.server.kill().await;
    let server = login.site.start().await;
    let mut link = Link::connect(&server, &login.session).await;
    link.gets(RESOURCE, Some(LONG)).await;
    assert_eq!(link.held(RESOURCE).0, access_token(1));
    assert_eq!(login.idp.seen().refreshed_with(), [REFRESH_TOKEN], "spent once");
    link.renewed(2).await;
    assert_eq!(
        login.idp.seen().refreshed_with(),
        [REFRESH_TOKEN.to_owned(), refresh_token(1)]
    );
    server.stop().await;
}

/// Waits: see [`super::deadlines`].
pub(super) async fn d_043_a_login_that_has_ended_is_told_by_a_store_that_stumbled() {
    let mut login = Login::renewing().await;
    let lock = login.site.lock_database();
    login.idp.script(|script| script.refresh = Answer::Refused);
    login.server.until_said("the store stumbles").await;
    drop(lock);
    login.link.until_status("failed").await;
    assert_eq!(login.link.session["error"], "login_required");
    login.server.stop().await;
}

/// Waits: see [`super::deadlines`].
pub(super) async fn d_024_a_store_that_stumbles_at_a_login_does_not_cost_it() {
    let idp = Idp::start().await;
    idp.script(|script| script.token = Answer::Held);
    let mut site = Site::new(&idp.issuer);
    let mut server = site.start().await;
    let session = Session::begin(&server).await;
    let mut link = Link::connect(&server, &session).await;
    let login = Browser::confirming(&session);
    idp.until_seen(|seen| !seen.token.is_empty()).await;
    let lock = site.lock_database();
    idp.script(|script| script.token = Answer::Good);
    server.until_said("the store stumbles").await;
    drop(lock);
    assert_eq!(login.await.unwrap().outcome(), "signed-in");
    link.until_status("active").await;
    assert!(idp.seen().revoked.is_empty());
    server.stop().await;
}

#[tokio::test]
async fn d_044_a_session_that_ends_while_somebody_signs_in_leaves_nothing_at_the_provider() {
    let idp = Idp::start().await;
    idp.script(|script| script.exchange = Answer::Held);
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let session = Session::begin_for(&server, API).await;
    let mut link = Link::connect(&server, &session).await;
    let login = Browser::confirming(&session);
    idp.until_seen(|seen| !seen.exchanged_for().is_empty()).await;
    link.ask(&Ask::End { id: "bye".into() }).await;
    assert_eq!(link.closed().await, 1000);
    idp.script(|script| script.exchange = Answer::Good);
    assert_eq!(login.await.unwrap().outcome(), "expired");
    assert_eq!(idp.seen().revoked, [REFRESH_TOKEN, ACCESS_TOKEN]);
    assert!(site.record(&session).await.is_none());
    server.stop().await;
}

/// Waits: see [`super::deadlines`].
pub(super) async fn d_043_a_store_that_cannot_write_does_not_cost_the_refresh_token() {
    let mut login = Login::done().await;
    let lock = login.site.lock_database();
    assert_eq!(
        login.link.refused(RESOURCE, Some(LONG)).await,
        "temporarily_unavailable"
    );
    assert!(
        login.idp.seen().refreshed_with().is_empty(),
        "the provider was not asked"
    );
    drop(lock);
    login.link.renewed(1).await;
    assert!(login.link.held(RESOURCE).1 > RENEWED_LIFETIME);
    login.server.stop().await;
}

#[tokio::test]
async fn c_306_a_terminal_knows_when_its_person_proved_who_they_are() {
    let login = Login::done_at(|script| script.claims = vec![("auth_time", json!(1_000_000))]).await;
    let stage = login.site.stage(&login.session).await;
    assert_eq!(stage["active"]["auth_time"], 1_000_000);
    login.server.stop().await;
}

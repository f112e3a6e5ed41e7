//! D-043 and the session's end: what the provider gives for a login, and what becomes of it when things fail.

use device_proto::ask::Ask;
use rusqlite::Connection;

use crate::kit::browser::Browser;
use crate::kit::device::{Link, RESOURCE, Session};
use crate::kit::idp::{
    ACCESS_TOKEN, Answer, Idp, LIFETIME, REFRESH_TOKEN, RENEWED_LIFETIME, access_token, refresh_token,
};
use crate::kit::in_time;
use crate::kit::server::Site;
use crate::session::publish::signed_in;
use crate::session::renew::{EVER, LONG, OTHER, asked, held, ready, refused, renewed, stage, token_request};

/// Asks of one device at once.
const ASKS: usize = 16;

#[tokio::test]
async fn a_login_without_a_refresh_token_says_when_it_ends_and_lasts_until_then() {
    let idp = Idp::start().await;
    idp.script(|script| script.no_refresh_token = true);
    let server = Site::new(&idp.issuer).start().await;
    let (session, mut link) = signed_in(&server).await;
    let (_, end) = held(&session, &link, RESOURCE);
    assert_eq!(link.session["expires_at"], end.to_string());
    for resource in [RESOURCE, OTHER] {
        assert_eq!(
            asked(&mut link, resource, Some(EVER)).await,
            ready("ask", resource)
        );
        assert_eq!(
            held(&session, &link, resource).0,
            ACCESS_TOKEN,
            "there is no longer one"
        );
    }
    assert_eq!(link.session["status"], "active");
    server.stop().await;
}

#[tokio::test]
async fn d_043_a_login_without_a_refresh_token_that_has_ended_asks_for_a_new_one() {
    let idp = Idp::start().await;
    idp.script(|script| {
        script.no_refresh_token = true;
        script.lifetime = Some(1);
    });
    let server = Site::new(&idp.issuer).start().await;
    let (_session, mut link) = signed_in(&server).await;
    in_time(async { while asked(&mut link, RESOURCE, Some(0)).await == ready("ask", RESOURCE) {} }).await;
    link.until_status("failed").await;
    assert_eq!(link.session["error"], "login_required");
    server.stop().await;
}

#[tokio::test]
async fn a_refresh_token_that_ends_is_when_the_session_ends() {
    let idp = Idp::start().await;
    idp.script(|script| script.refresh_expires_in = Some(86_400));
    let server = Site::new(&idp.issuer).start().await;
    let (session, link) = signed_in(&server).await;
    let (_, token_ends) = held(&session, &link, RESOURCE);
    let ends: u64 = link.session["expires_at"].parse().unwrap();
    assert!((86_400 - LIFETIME - 1..=86_400 - LIFETIME + 1).contains(&(ends - token_ends)));
    idp.script(|script| script.refresh_expires_in = Some(0));
    let (_session, link) = signed_in(&server).await;
    assert!(
        !link.session.contains_key("expires_at"),
        "0 stands for nobody knows"
    );
    server.stop().await;
}

/// The provider has spent the old refresh token when the store fails: the new one must not be lost.
#[tokio::test]
async fn d_043_a_rotated_refresh_token_that_the_store_would_not_keep_is_kept_when_it_will() {
    let idp = Idp::start().await;
    idp.script(|script| script.refresh = Answer::Held);
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, mut link) = signed_in(&server).await;
    link.ask(&token_request("ask", RESOURCE, Some(LONG))).await;
    for n in 1..ASKS {
        link.ask(&token_request(&n.to_string(), &format!("urn:d:{n}"), Some(LONG)))
            .await;
    }
    idp.until_seen(|seen| !seen.refreshed_with().is_empty()).await;
    assert_eq!(refused(&mut link, "urn:other:x", None).await, "invalid_target");
    link.replies.clear();
    let before = stage(&site, &session).await;
    let lock = Connection::open(site.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    idp.script(|script| script.refresh = Answer::Good);
    link.until(|link| link.replies.len() == ASKS).await;
    for reply in &link.replies {
        let told = serde_json::to_value(reply).unwrap();
        assert_eq!(told["error"], "temporarily_unavailable");
    }
    assert_eq!(
        held(&session, &link, RESOURCE).0,
        ACCESS_TOKEN,
        "nothing is shown that is not kept"
    );
    // Its device leaves, and the server goes on trying.
    link.leave().await;
    lock.execute_batch("ROLLBACK").unwrap();
    drop(lock);
    in_time(async { while stage(&site, &session).await == before {} }).await;
    server.kill().await;
    let server = site.start().await;
    let mut link = Link::connect(&server, &session).await;
    assert_eq!(
        asked(&mut link, RESOURCE, Some(LONG)).await,
        ready("ask", RESOURCE)
    );
    assert_eq!(held(&session, &link, RESOURCE).0, access_token(1));
    assert_eq!(idp.seen().refreshed_with(), [REFRESH_TOKEN], "spent once");
    renewed(&session, &mut link, 2).await;
    assert_eq!(
        idp.seen().refreshed_with(),
        [REFRESH_TOKEN.to_owned(), refresh_token(1)]
    );
    server.stop().await;
}

#[tokio::test]
async fn d_043_a_login_that_has_ended_is_told_by_a_store_that_stumbled() {
    let idp = Idp::start().await;
    idp.script(|script| script.refresh = Answer::Held);
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (_session, mut link) = signed_in(&server).await;
    link.ask(&token_request("ask", RESOURCE, Some(LONG))).await;
    idp.until_seen(|seen| !seen.refreshed_with().is_empty()).await;
    let lock = Connection::open(site.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    idp.script(|script| script.refresh = Answer::Refused);
    server.until_said("the store stumbles").await;
    lock.execute_batch("ROLLBACK").unwrap();
    link.until_status("failed").await;
    assert_eq!(link.session["error"], "login_required");
    server.stop().await;
}

#[tokio::test]
async fn d_024_a_store_that_stumbles_at_a_login_does_not_cost_it() {
    let idp = Idp::start().await;
    idp.script(|script| script.token = Answer::Held);
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let session = Session::begin(&server).await;
    let mut link = Link::connect(&server, &session).await;
    let url = session.url().to_owned();
    let login = tokio::spawn(async move { Browser::new().confirm(&url).await });
    idp.until_seen(|seen| !seen.token.is_empty()).await;
    let lock = Connection::open(site.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    idp.script(|script| script.token = Answer::Good);
    server.until_said("the store stumbles").await;
    lock.execute_batch("ROLLBACK").unwrap();
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
    let session = Session::begin_for(&server, "urn:sap:identity:api:name:my-api").await;
    let mut link = Link::connect(&server, &session).await;
    let url = session.url().to_owned();
    let login = tokio::spawn(async move { Browser::new().confirm(&url).await });
    idp.until_seen(|seen| !seen.exchanged_for().is_empty()).await;
    link.ask(&Ask::End { id: "bye".into() }).await;
    assert_eq!(link.closed().await, 1000);
    idp.script(|script| script.exchange = Answer::Good);
    assert_eq!(login.await.unwrap().outcome(), "expired");
    assert_eq!(idp.seen().revoked, [REFRESH_TOKEN, ACCESS_TOKEN]);
    assert!(site.record(session.id.as_str()).await.is_none());
    server.stop().await;
}

#[tokio::test]
async fn d_043_a_store_that_cannot_write_does_not_cost_the_refresh_token() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, mut link) = signed_in(&server).await;
    let lock = Connection::open(site.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(
        refused(&mut link, RESOURCE, Some(LONG)).await,
        "temporarily_unavailable"
    );
    assert!(
        idp.seen().refreshed_with().is_empty(),
        "the provider was not asked"
    );
    lock.execute_batch("ROLLBACK").unwrap();
    renewed(&session, &mut link, 1).await;
    assert!(held(&session, &link, RESOURCE).1 > RENEWED_LIFETIME);
    server.stop().await;
}

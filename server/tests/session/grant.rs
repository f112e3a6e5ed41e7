//! D-043 and the session's end: what the provider gives for a login, and what becomes of it when things fail.

use rusqlite::Connection;

use crate::device::{Link, RESOURCE};
use crate::idp::{
    ACCESS_TOKEN, Answer, Idp, LIFETIME, REFRESH_TOKEN, RENEWED_LIFETIME, access_token, refresh_token,
};
use crate::in_time;
use crate::publish::signed_in;
use crate::renew::{EVER, LONG, OTHER, asked, held, ready, refused, renewed, stage, token_request};
use crate::server::Site;

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
    idp.until_seen(|seen| !seen.refreshed_with().is_empty()).await;
    let before = stage(&site, &session).await;
    let lock = Connection::open(site.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    idp.script(|script| script.refresh = Answer::Good);
    link.until(|link| !link.replies.is_empty()).await;
    let told = serde_json::to_value(&link.replies[0]).unwrap();
    assert_eq!(told["error"], "temporarily_unavailable");
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

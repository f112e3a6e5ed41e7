//! D-032, D-040 … D-044: a device asks for a token that lasts, and the provider rotates what it is renewed with.

use device_proto::ask::{Ask, Reply};
use device_proto::token::Token;
use serde_json::{Value, json};

use crate::kit::device::{Link, RESOURCE, Session};
use crate::kit::idp::{
    ACCESS_TOKEN, Answer, Idp, LIFETIME, REFRESH_TOKEN, RENEWED_LIFETIME, access_token, refresh_token,
};
use crate::kit::in_time;
use crate::kit::server::{Site, assert_unsaid};
use crate::session::publish::{holds, rewrite, sealed, signed_in};

/// Another destination of the same login.
pub(crate) const OTHER: &str = "urn:d:other";

/// Seconds that only a renewed token is valid for.
pub(crate) const LONG: u64 = (LIFETIME + RENEWED_LIFETIME) / 2;

/// Seconds that no token is valid for: who asks for this is always renewed.
pub(crate) const EVER: u64 = 10 * RENEWED_LIFETIME;

/// Renewals in a row.
const RENEWALS: usize = 40;

/// Asks on one socket at once.
const ASKS: usize = 4;

/// Asks that one socket may have under way; a session may have twice as many.
const MAX_ASKS: usize = 128;

pub(crate) fn token_request(id: &str, resource: &str, min_valid: Option<u64>) -> Ask {
    Ask::Token {
        id: id.into(),
        resource: resource.parse().unwrap(),
        min_valid,
    }
}

pub(crate) fn ready(id: &str, resource: &str) -> Reply {
    Reply::TokenReady {
        id: id.into(),
        resource: resource.parse().unwrap(),
    }
}

/// Asks, and waits for the reply.
pub(crate) async fn asked(link: &mut Link, resource: &str, min_valid: Option<u64>) -> Reply {
    link.replies.clear();
    link.ask(&token_request("ask", resource, min_valid)).await;
    link.until(|link| !link.replies.is_empty()).await;
    link.replies.remove(0)
}

/// Asks, and returns the error code of the reply.
pub(crate) async fn refused(link: &mut Link, resource: &str, min_valid: Option<u64>) -> String {
    match asked(link, resource, min_valid).await {
        Reply::Error { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

/// Asks for a token that only the provider has; waits until it is there.
pub(crate) async fn renewed(session: &Session, link: &mut Link, n: usize) {
    assert_eq!(asked(link, RESOURCE, Some(EVER)).await, ready("ask", RESOURCE));
    has(session, link, RESOURCE, n).await;
}

/// Waits until the device has the token of the `n`th renewal.
pub(crate) async fn has(session: &Session, link: &mut Link, resource: &str, n: usize) {
    let newest = access_token(n);
    link.until(|link| link.tokens.contains_key(resource) && held(session, link, resource).0 == newest)
        .await;
}

/// Opens the token that the device has for a resource.
pub(crate) fn held(session: &Session, link: &Link, resource: &str) -> (String, u64) {
    let plain = session.open_for(resource, &link.tokens[resource]);
    let token = Token::decode(&plain).unwrap();
    assert_eq!(token.resource, resource);
    (token.access_token.into_owned(), token.expires_at)
}

pub(crate) async fn stage(site: &Site, session: &Session) -> Value {
    // Who asks again and again leaves the provider, which runs beside it, its turn.
    tokio::task::yield_now().await;
    let record = site.record(session.id.as_str()).await.unwrap();
    let mut record: Value = serde_json::from_slice(&record.value).unwrap();
    record["stage"].take()
}

#[tokio::test]
async fn d_040_the_new_token_is_in_the_doc_before_the_reply() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let (session, mut link) = signed_in(&server).await;
    for n in 1..=RENEWALS {
        assert_eq!(
            asked(&mut link, RESOURCE, Some(EVER)).await,
            ready("ask", RESOURCE)
        );
        let (token, _) = held(&session, &link, RESOURCE);
        assert_eq!(token, access_token(n), "token.ready came before the token");
    }
    server.stop().await;
}

#[tokio::test]
async fn d_040_a_device_that_asks_gets_a_new_token() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let (session, mut link) = signed_in(&server).await;
    let (_, first_end) = held(&session, &link, RESOURCE);
    renewed(&session, &mut link, 1).await;
    let (_, end) = held(&session, &link, RESOURCE);
    assert!(end >= first_end + RENEWED_LIFETIME - LIFETIME);
    assert_eq!(link.session["subject"], "Alice Example");
    assert_unsaid(
        &server.stop().await,
        &[ACCESS_TOKEN, REFRESH_TOKEN, &session.challenge_text()],
    );
}

#[tokio::test]
async fn d_040_a_device_that_asks_and_asks_gets_what_there_is() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let (session, mut link) = signed_in(&server).await;
    for _ in 0..2 * RENEWALS {
        assert_eq!(
            asked(&mut link, RESOURCE, Some(EVER)).await,
            ready("ask", RESOURCE)
        );
    }
    let renewals = idp.seen().refreshed_with().len();
    assert!((RENEWALS..2 * RENEWALS).contains(&renewals), "{renewals}");
    assert_eq!(held(&session, &link, RESOURCE).0, access_token(renewals));
    server.stop().await;
}

#[tokio::test]
async fn d_040_a_token_that_lasts_costs_no_call() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let (session, mut link) = signed_in(&server).await;
    for min_valid in [None, Some(0), Some(LIFETIME / 2)] {
        assert_eq!(
            asked(&mut link, RESOURCE, min_valid).await,
            ready("ask", RESOURCE)
        );
    }
    assert_eq!(held(&session, &link, RESOURCE).0, ACCESS_TOKEN);
    assert!(idp.seen().refreshed_with().is_empty());
    for _ in 0..2 {
        asked(&mut link, RESOURCE, Some(LONG)).await;
    }
    has(&session, &mut link, RESOURCE, 1).await;
    assert_eq!(idp.seen().refreshed_with(), [REFRESH_TOKEN], "once is enough");
    server.stop().await;
}

#[tokio::test]
async fn d_040_a_token_that_is_kept_is_in_the_doc_before_the_reply() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, mut link) = signed_in(&server).await;
    // Kept, and never shown.
    rewrite(&site, &session, |tokens| {
        tokens[OTHER] = tokens[RESOURCE].clone();
        tokens[OTHER]["sealed"] = sealed(&session, OTHER, 0, b"a token").into();
    })
    .await;
    assert_eq!(asked(&mut link, OTHER, None).await, ready("ask", OTHER));
    assert_eq!(session.open_for(OTHER, &link.tokens[OTHER]), b"a token");
    server.stop().await;
}

#[tokio::test]
async fn d_040_many_who_ask_at_once_cost_one_call() {
    let idp = Idp::start().await;
    idp.script(|script| script.refresh = Answer::Held);
    let server = Site::new(&idp.issuer).start().await;
    let (session, first) = signed_in(&server).await;
    let mut links = vec![
        first,
        Link::connect(&server, &session).await,
        Link::connect(&server, &session).await,
    ];
    let ids: Vec<_> = (0..ASKS).map(|n| n.to_string()).collect();
    let resource = |n: usize| [RESOURCE, OTHER][n % 2];
    for link in &mut links {
        for (n, id) in ids.iter().enumerate() {
            link.ask(&token_request(id, resource(n), Some(LONG))).await;
        }
        // Its reply shows that the server has taken up what came before.
        assert_eq!(refused(link, "urn:other:x", None).await, "invalid_target");
    }
    idp.until_seen(|seen| !seen.refreshed_with().is_empty()).await;
    idp.script(|script| script.refresh = Answer::Good);
    for link in &mut links {
        link.until(|link| link.replies.len() == ASKS).await;
        for (n, id) in ids.iter().enumerate() {
            assert!(
                link.replies.contains(&ready(id, resource(n))),
                "{:?}",
                link.replies
            );
        }
        for resource in [RESOURCE, OTHER] {
            has(&session, link, resource, 1).await;
        }
    }
    assert_eq!(idp.seen().refreshed_with(), [REFRESH_TOKEN]);
    server.stop().await;
}

#[tokio::test]
async fn d_040_a_device_that_asks_for_too_much_is_told_and_may_still_end_its_session() {
    let idp = Idp::start().await;
    idp.script(|script| script.refresh = Answer::Held);
    let server = Site::new(&idp.issuer).start().await;
    let (session, mut link) = signed_in(&server).await;
    // As many as one socket may have under way, and as many as one session may.
    for n in 0..=MAX_ASKS {
        link.ask(&token_request(&n.to_string(), RESOURCE, Some(EVER)))
            .await;
    }
    link.until(|link| !link.replies.is_empty()).await;
    assert_slow_down(&link);
    let mut other = Link::connect(&server, &session).await;
    let mut third = Link::connect(&server, &session).await;
    for n in 0..MAX_ASKS {
        other
            .ask(&token_request(&n.to_string(), RESOURCE, Some(EVER)))
            .await;
    }
    // It has taken up what came before.
    other.ask(&token_request("more", RESOURCE, Some(EVER))).await;
    other.until(|link| !link.replies.is_empty()).await;
    // Some of the first ones may come to their turn only now.
    for n in 0..MAX_ASKS {
        third
            .ask(&token_request(&n.to_string(), RESOURCE, Some(EVER)))
            .await;
    }
    third.until(|link| !link.replies.is_empty()).await;
    assert_slow_down(&third);
    link.replies.clear();
    link.ask(&Ask::End { id: "bye".into() }).await;
    idp.script(|script| script.refresh = Answer::Good);
    assert_eq!(link.closed().await, 1000);
    assert!(link.replies.contains(&Reply::Ended { id: "bye".into() }));
    server.stop().await;
}

fn assert_slow_down(link: &Link) {
    let told = serde_json::to_value(&link.replies[0]).unwrap();
    assert_eq!(told["error"], "slow_down");
}

#[tokio::test]
async fn d_040_many_who_want_more_than_there_is_cost_one_call_too() {
    let idp = Idp::start().await;
    idp.script(|script| script.refresh = Answer::Held);
    let server = Site::new(&idp.issuer).start().await;
    let (session, mut link) = signed_in(&server).await;
    for (n, resource) in [RESOURCE, OTHER, RESOURCE, OTHER].into_iter().enumerate() {
        link.ask(&token_request(&n.to_string(), resource, Some(EVER)))
            .await;
    }
    assert_eq!(refused(&mut link, "urn:other:x", None).await, "invalid_target");
    idp.until_seen(|seen| !seen.refreshed_with().is_empty()).await;
    idp.script(|script| script.refresh = Answer::Good);
    link.until(|link| link.replies.len() == 4).await;
    for resource in [RESOURCE, OTHER] {
        has(&session, &mut link, resource, 1).await;
    }
    assert_eq!(idp.seen().refreshed_with(), [REFRESH_TOKEN]);
    server.stop().await;
}

#[tokio::test]
async fn d_041_another_destination_gets_the_same_token_sealed_for_itself() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let (session, mut link) = signed_in(&server).await;
    assert_eq!(asked(&mut link, OTHER, None).await, ready("ask", OTHER));
    has(&session, &mut link, OTHER, 0).await;
    assert_eq!(held(&session, &link, OTHER), held(&session, &link, RESOURCE));
    let moved = std::panic::catch_unwind(|| session.open_for(RESOURCE, &link.tokens[OTHER]));
    assert!(moved.is_err(), "a seal is for one resource");
    assert!(idp.seen().refreshed_with().is_empty());
    for resource in [RESOURCE, OTHER] {
        assert_eq!(
            asked(&mut link, resource, Some(LONG)).await,
            ready("ask", resource)
        );
        has(&session, &mut link, resource, 1).await;
    }
    assert_eq!(idp.seen().refreshed_with().len(), 1, "once for both");
    server.stop().await;
}

#[tokio::test]
async fn d_042_an_unknown_resource_is_an_invalid_target() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let (_session, mut link) = signed_in(&server).await;
    for unknown in ["urn:other:x", "urn:d:"] {
        assert_eq!(
            refused(&mut link, unknown, None).await,
            "invalid_target",
            "{unknown}"
        );
    }
    assert_eq!(link.tokens.len(), 1);
    assert_eq!(link.session["status"], "active");
    server.stop().await;
}

#[tokio::test]
async fn d_040_who_asks_before_the_login_is_told_so_and_the_login_goes_on() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let session = Session::begin(&server).await;
    let mut link = Link::connect(&server, &session).await;
    assert_eq!(refused(&mut link, RESOURCE, None).await, "login_required");
    assert_eq!(link.session["status"], "pending");
    server.stop().await;
}

#[tokio::test]
async fn d_042_a_provider_that_fails_costs_neither_the_session_nor_the_token() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, mut link) = signed_in(&server).await;
    let before = stage(&site, &session).await;
    for (answer, code) in [
        (Answer::Status(503), "temporarily_unavailable"),
        (
            Answer::Error("temporarily_unavailable"),
            "temporarily_unavailable",
        ),
        (Answer::Garbage, "server_error"),
        (Answer::Error("invalid_scope"), "invalid_scope"),
        (Answer::Error("unauthorized_client"), "unauthorized_client"),
        (Answer::Error("a_word_of_its_own"), "a_word_of_its_own"),
    ] {
        idp.script(|script| script.refresh = answer);
        assert_eq!(refused(&mut link, RESOURCE, Some(EVER)).await, code);
        let link = Link::connect(&server, &session).await;
        assert_eq!(link.session["status"], "active", "{code}");
        assert_eq!(held(&session, &link, RESOURCE).0, ACCESS_TOKEN, "{code}");
        assert_eq!(stage(&site, &session).await, before, "{code}");
    }
    idp.script(|script| script.refresh = Answer::Good);
    renewed(&session, &mut link, 1).await;
    server.stop().await;
}

#[tokio::test]
async fn d_043_whatever_else_is_wrong_with_an_answer_its_refresh_token_is_kept() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let (session, mut link) = signed_in(&server).await;
    // As long as a token may be, and one more.
    for (name, value) in [
        ("access_token", json!("x".repeat(16 * 1024 + 1))),
        ("expires_in", json!(0)),
        ("id_token", json!("not.a.jwt")),
    ] {
        idp.script(|script| script.refresh_says = Some((name, value)));
        assert_eq!(
            refused(&mut link, RESOURCE, Some(EVER)).await,
            "server_error",
            "{name}"
        );
        assert_eq!(held(&session, &link, RESOURCE).0, ACCESS_TOKEN, "{name}");
    }
    idp.script(|script| script.refresh_says = None);
    renewed(&session, &mut link, 4).await;
    let spent: Vec<_> = (0..4).map(refresh_token).collect();
    assert_eq!(idp.seen().refreshed_with(), spent);
    let plain = session.open(&link.tokens[RESOURCE]);
    let scope = Token::decode(&plain).unwrap().scope.unwrap().into_owned();
    assert_eq!(scope, "openid profile", "as it was");
    server.stop().await;
}

/// Nothing helps against this: the new refresh token is on no disk but the provider's. It is told at once.
#[tokio::test]
async fn d_043_an_answer_that_is_lost_after_the_rotation_costs_the_login() {
    let idp = Idp::start().await;
    idp.script(|script| script.refresh = Answer::Lost);
    let server = Site::new(&idp.issuer).start().await;
    let (_session, mut link) = signed_in(&server).await;
    let code = refused(&mut link, RESOURCE, Some(EVER)).await;
    assert_eq!(code, "temporarily_unavailable");
    assert_eq!(link.session["status"], "active");
    idp.script(|script| script.refresh = Answer::Good);
    assert_eq!(refused(&mut link, RESOURCE, Some(EVER)).await, "login_required");
    link.until_status("failed").await;
    assert_eq!(idp.seen().refreshed_with(), [REFRESH_TOKEN, REFRESH_TOKEN]);
    server.stop().await;
}

#[tokio::test]
async fn d_043_each_renewal_spends_the_newest_refresh_token_also_after_a_restart() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, mut link) = signed_in(&server).await;
    for n in 1..=2 {
        renewed(&session, &mut link, n).await;
    }
    server.kill().await;
    let server = site.start().await;
    let mut link = Link::connect(&server, &session).await;
    assert_eq!(held(&session, &link, RESOURCE).0, access_token(2));
    renewed(&session, &mut link, 3).await;
    let spent: Vec<_> = (0..3).map(refresh_token).collect();
    assert_eq!(idp.seen().refreshed_with(), spent);
    server.stop().await;
}

#[tokio::test]
async fn d_043_what_a_device_asked_for_before_it_left_is_kept() {
    let idp = Idp::start().await;
    idp.script(|script| script.refresh = Answer::Held);
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, mut link) = signed_in(&server).await;
    let before = stage(&site, &session).await;
    link.ask(&token_request("ask", RESOURCE, Some(LONG))).await;
    idp.until_seen(|seen| !seen.refreshed_with().is_empty()).await;
    link.leave().await;
    idp.script(|script| script.refresh = Answer::Good);
    in_time(async { while stage(&site, &session).await == before {} }).await;
    let mut link = Link::connect(&server, &session).await;
    has(&session, &mut link, RESOURCE, 1).await;
    assert_eq!(idp.seen().refreshed_with().len(), 1);
    renewed(&session, &mut link, 2).await;
    server.stop().await;
}

#[tokio::test]
async fn d_043_a_device_that_leaves_comes_back_and_asks_again_joins_its_own_renewal() {
    let idp = Idp::start().await;
    idp.script(|script| script.refresh = Answer::Held);
    let server = Site::new(&idp.issuer).start().await;
    let (session, mut link) = signed_in(&server).await;
    link.ask(&token_request("ask", RESOURCE, Some(LONG))).await;
    idp.until_seen(|seen| !seen.refreshed_with().is_empty()).await;
    link.leave().await;
    let mut link = Link::connect(&server, &session).await;
    link.ask(&token_request("again", RESOURCE, Some(LONG))).await;
    // Its reply shows that the server has taken up what came before.
    assert_eq!(refused(&mut link, "urn:other:x", None).await, "invalid_target");
    idp.script(|script| script.refresh = Answer::Good);
    link.until(|link| !link.replies.is_empty()).await;
    assert_eq!(link.replies, [ready("again", RESOURCE)]);
    assert_eq!(idp.seen().refreshed_with(), [REFRESH_TOKEN]);
    assert_eq!(link.session["status"], "active");
    renewed(&session, &mut link, 2).await;
    server.stop().await;
}

#[tokio::test]
async fn d_043_a_server_that_leaves_asks_nothing_more_of_the_provider() {
    let idp = Idp::start().await;
    idp.script(|script| script.refresh = Answer::Held);
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, mut link) = signed_in(&server).await;
    link.ask(&token_request("first", RESOURCE, Some(LONG))).await;
    idp.until_seen(|seen| !seen.refreshed_with().is_empty()).await;
    // It waits for the first, and wants another exchange then.
    let api = "urn:sap:identity:api:name:my-api";
    link.ask(&token_request("second", api, Some(EVER))).await;
    idp.until_seen(|seen| seen.exchanged_for().len() == 1).await;
    server.terminate();
    assert_eq!(link.closed().await, 1001);
    idp.script(|script| script.refresh = Answer::Good);
    server.left().await;
    let seen = idp.seen();
    assert_eq!((seen.refreshed_with().len(), seen.exchanged_for().len()), (1, 1));
    let server = site.start().await;
    let mut link = Link::connect(&server, &session).await;
    renewed(&session, &mut link, 2).await;
    server.stop().await;
}

#[tokio::test]
async fn d_043_a_refresh_token_that_is_refused_ends_in_a_login() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, mut link) = signed_in(&server).await;
    let mut other = Link::connect(&server, &session).await;
    idp.script(|script| script.refresh = Answer::Refused);
    assert_eq!(refused(&mut link, RESOURCE, Some(EVER)).await, "login_required");
    for link in [&mut link, &mut other] {
        link.until_status("failed").await;
        assert_eq!(link.session["error"], "login_required");
    }
    assert_eq!(stage(&site, &session).await["failed"]["error"], "login_required");
    idp.script(|script| script.refresh = Answer::Good);
    assert_eq!(refused(&mut other, RESOURCE, Some(EVER)).await, "login_required");
    assert_eq!(idp.seen().refreshed_with().len(), 1, "the provider is left alone");
    let late = Link::connect(&server, &session).await;
    assert_eq!(late.session["status"], "failed");
    server.stop().await;
}

#[tokio::test]
async fn d_032_no_rotation_leaves_anything_plain_on_disk() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, mut link) = signed_in(&server).await;
    asked(&mut link, OTHER, None).await;
    has(&session, &mut link, OTHER, 0).await;
    for n in 1..=3 {
        renewed(&session, &mut link, n).await;
        assert_eq!(asked(&mut link, OTHER, Some(LONG)).await, ready("ask", OTHER));
    }
    let files = site.dump();
    // The record once more in one piece: SQLite tears long ones.
    let record = site.record(session.id.as_str()).await.unwrap().value;
    let files = files.into_iter().map(|(_, bytes)| bytes);
    let all: Vec<u8> = files.chain([record]).flatten().collect();
    for resource in [RESOURCE, OTHER] {
        let sealed = link.tokens[resource].as_bytes();
        assert!(holds(&all, sealed), "the sealed token is there");
    }
    // The numbered ones begin like the first.
    let challenge = session.challenge_text();
    for secret in [
        ACCESS_TOKEN.as_bytes(),
        REFRESH_TOKEN.as_bytes(),
        challenge.as_bytes(),
        &session.secret,
    ] {
        assert!(!holds(&all, secret), "a secret is on disk");
    }
    server.stop().await;
}

#[tokio::test]
async fn d_044_the_end_revokes_the_newest_refresh_token() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, mut link) = signed_in(&server).await;
    for n in 1..=2 {
        renewed(&session, &mut link, n).await;
    }
    link.ask(&Ask::End { id: "bye".into() }).await;
    assert_eq!(link.closed().await, 1000);
    assert_eq!(idp.seen().revoked, [refresh_token(2), access_token(2)]);
    assert!(site.record(session.id.as_str()).await.is_none());
    assert_unsaid(&server.stop().await, &[ACCESS_TOKEN, REFRESH_TOKEN]);
}

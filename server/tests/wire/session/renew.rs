//! D-032, D-040 … D-044: a device asks for a token that lasts, and the provider rotates what it is renewed with.

use device_proto::ask::{Ask, Reply};
use device_proto::token::Token;
use serde_json::json;

use crate::kit::idp::{
    ACCESS_TOKEN, Answer, Idp, LIFETIME, REFRESH_TOKEN, RENEWED_LIFETIME, access_token, refresh_token,
};
use crate::kit::leak::{assert_unsaid, holds};
use crate::kit::link::{EVER, LONG, Link, ready};
use crate::kit::login::{Login, signed_in};
use crate::kit::session::{API, OTHER, RESOURCE, Session, UNKNOWN};
use crate::kit::site::Site;

/// Renewals in a row.
const RENEWALS: usize = 40;

/// Asks on one socket at once.
const ASKS: usize = 4;

/// Asks that one socket may have under way; a session may have twice as many.
const MAX_ASKS: usize = 128;

#[tokio::test]
async fn d_040_the_new_token_is_in_the_doc_before_the_reply() {
    let mut login = Login::done().await;
    for n in 1..=RENEWALS {
        login.link.gets(RESOURCE, Some(EVER)).await;
        let (token, _) = login.link.held(RESOURCE);
        assert_eq!(token, access_token(n), "token.ready came before the token");
    }
    login.server.stop().await;
}

#[tokio::test]
async fn d_040_a_device_that_asks_gets_a_new_token() {
    let mut login = Login::done().await;
    let (_, first_end) = login.link.held(RESOURCE);
    login.link.renewed(1).await;
    let (_, end) = login.link.held(RESOURCE);
    assert!(end >= first_end + RENEWED_LIFETIME - LIFETIME);
    assert_eq!(login.link.session["subject"], "Alice Example");
    assert_unsaid(
        &login.server.stop().await,
        &[ACCESS_TOKEN, REFRESH_TOKEN, &login.session.challenge_text()],
    );
}

#[tokio::test]
async fn d_040_a_device_that_asks_and_asks_gets_what_there_is() {
    let mut login = Login::done().await;
    for _ in 0..2 * RENEWALS {
        login.link.gets(RESOURCE, Some(EVER)).await;
    }
    let renewals = login.idp.seen().refreshed_with().len();
    assert!((RENEWALS..2 * RENEWALS).contains(&renewals), "{renewals}");
    assert_eq!(login.link.held(RESOURCE).0, access_token(renewals));
    login.server.stop().await;
}

#[tokio::test]
async fn d_040_a_token_that_lasts_costs_no_call() {
    let mut login = Login::done().await;
    for min_valid in [None, Some(0), Some(LIFETIME / 2)] {
        login.link.gets(RESOURCE, min_valid).await;
    }
    assert_eq!(login.link.held(RESOURCE).0, ACCESS_TOKEN);
    assert!(login.idp.seen().refreshed_with().is_empty());
    for _ in 0..2 {
        login.link.asked(RESOURCE, Some(LONG)).await;
    }
    login.link.has(RESOURCE, 1).await;
    assert_eq!(
        login.idp.seen().refreshed_with(),
        [REFRESH_TOKEN],
        "once is enough"
    );
    login.server.stop().await;
}

#[tokio::test]
async fn d_040_a_token_that_is_kept_is_in_the_doc_before_the_reply() {
    let mut login = Login::done().await;
    // Kept, and never shown.
    login
        .site
        .rewrite(&login.session, |tokens| {
            tokens[OTHER] = tokens[RESOURCE].clone();
            tokens[OTHER]["sealed"] = login.session.seal_for(OTHER, 0, b"a token").into();
        })
        .await;
    login.link.gets(OTHER, None).await;
    assert_eq!(
        login.session.open_for(OTHER, &login.link.tokens[OTHER]),
        b"a token"
    );
    login.server.stop().await;
}

#[tokio::test]
async fn d_040_many_who_ask_at_once_cost_one_call() {
    let idp = Idp::start().await;
    idp.script(|script| script.refresh = Answer::Held);
    let server = Site::new(&idp.issuer).start().await;
    let (session, first) = signed_in(&server, RESOURCE).await;
    let mut links = vec![
        first,
        Link::connect(&server, &session).await,
        Link::connect(&server, &session).await,
    ];
    let ids: Vec<_> = (0..ASKS).map(|n| n.to_string()).collect();
    let resource = |n: usize| [RESOURCE, OTHER][n % 2];
    for link in &mut links {
        for (n, id) in ids.iter().enumerate() {
            link.ask_for(id, resource(n), Some(LONG)).await;
        }
        link.caught_up().await;
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
            link.has(resource, 1).await;
        }
    }
    assert_eq!(idp.seen().refreshed_with(), [REFRESH_TOKEN]);
    server.stop().await;
}

#[tokio::test]
async fn d_040_a_device_that_asks_for_too_much_is_told_and_may_still_end_its_session() {
    let mut login = Login::done_at(|script| script.refresh = Answer::Held).await;
    // As many as one socket may have under way, and as many as one session may.
    for n in 0..=MAX_ASKS {
        login.link.ask_for(&n.to_string(), RESOURCE, Some(EVER)).await;
    }
    login.link.until(|link| !link.replies.is_empty()).await;
    assert_slow_down(&login.link);
    let mut other = Link::connect(&login.server, &login.session).await;
    let mut third = Link::connect(&login.server, &login.session).await;
    for n in 0..MAX_ASKS {
        other.ask_for(&n.to_string(), RESOURCE, Some(EVER)).await;
    }
    // It has taken up what came before.
    other.ask_for("more", RESOURCE, Some(EVER)).await;
    other.until(|link| !link.replies.is_empty()).await;
    // Some of the first ones may come to their turn only now.
    for n in 0..MAX_ASKS {
        third.ask_for(&n.to_string(), RESOURCE, Some(EVER)).await;
    }
    third.until(|link| !link.replies.is_empty()).await;
    assert_slow_down(&third);
    login.link.replies.clear();
    login.link.ask(&Ask::End { id: "bye".into() }).await;
    login.idp.script(|script| script.refresh = Answer::Good);
    assert_eq!(login.link.closed().await, 1000);
    assert!(login.link.replies.contains(&Reply::Ended { id: "bye".into() }));
    login.server.stop().await;
}

fn assert_slow_down(link: &Link) {
    let told = serde_json::to_value(&link.replies[0]).unwrap();
    assert_eq!(told["error"], "slow_down");
}

#[tokio::test]
async fn d_040_many_who_want_more_than_there_is_cost_one_call_too() {
    let mut login = Login::done_at(|script| script.refresh = Answer::Held).await;
    for (n, resource) in [RESOURCE, OTHER, RESOURCE, OTHER].into_iter().enumerate() {
        login.link.ask_for(&n.to_string(), resource, Some(EVER)).await;
    }
    login.link.caught_up().await;
    login
        .idp
        .until_seen(|seen| !seen.refreshed_with().is_empty())
        .await;
    login.idp.script(|script| script.refresh = Answer::Good);
    login.link.until(|link| link.replies.len() == 4).await;
    for resource in [RESOURCE, OTHER] {
        login.link.has(resource, 1).await;
    }
    assert_eq!(login.idp.seen().refreshed_with(), [REFRESH_TOKEN]);
    login.server.stop().await;
}

#[tokio::test]
async fn d_041_another_destination_gets_the_same_token_sealed_for_itself() {
    let mut login = Login::done().await;
    login.link.gets(OTHER, None).await;
    login.link.has(OTHER, 0).await;
    assert_eq!(login.link.held(OTHER), login.link.held(RESOURCE));
    let moved = std::panic::catch_unwind(|| login.session.open_for(RESOURCE, &login.link.tokens[OTHER]));
    assert!(moved.is_err(), "a seal is for one resource");
    assert!(login.idp.seen().refreshed_with().is_empty());
    for resource in [RESOURCE, OTHER] {
        login.link.gets(resource, Some(LONG)).await;
        login.link.has(resource, 1).await;
    }
    assert_eq!(login.idp.seen().refreshed_with().len(), 1, "once for both");
    login.server.stop().await;
}

#[tokio::test]
async fn d_042_an_unknown_resource_is_an_invalid_target() {
    let mut login = Login::done().await;
    for unknown in [UNKNOWN, "urn:d:"] {
        assert_eq!(
            login.link.refused(unknown, None).await,
            "invalid_target",
            "{unknown}"
        );
    }
    assert_eq!(login.link.tokens.len(), 1);
    assert_eq!(login.link.session["status"], "active");
    login.server.stop().await;
}

#[tokio::test]
async fn d_040_who_asks_before_the_login_is_told_so_and_the_login_goes_on() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let session = Session::begin(&server).await;
    let mut link = Link::connect(&server, &session).await;
    assert_eq!(link.refused(RESOURCE, None).await, "login_required");
    assert_eq!(link.session["status"], "pending");
    server.stop().await;
}

#[tokio::test]
async fn d_042_a_provider_that_fails_costs_neither_the_session_nor_the_token() {
    let mut login = Login::done().await;
    let before = login.site.stage(&login.session).await;
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
        login.idp.script(|script| script.refresh = answer);
        assert_eq!(login.link.refused(RESOURCE, Some(EVER)).await, code);
        let late = Link::connect(&login.server, &login.session).await;
        assert_eq!(late.session["status"], "active", "{code}");
        assert_eq!(late.held(RESOURCE).0, ACCESS_TOKEN, "{code}");
        assert_eq!(login.site.stage(&login.session).await, before, "{code}");
    }
    login.idp.script(|script| script.refresh = Answer::Good);
    login.link.renewed(1).await;
    login.server.stop().await;
}

#[tokio::test]
async fn d_043_whatever_else_is_wrong_with_an_answer_its_refresh_token_is_kept() {
    let mut login = Login::done().await;
    // As long as a token may be, and one more.
    for (name, value) in [
        ("access_token", json!("x".repeat(16 * 1024 + 1))),
        ("expires_in", json!(0)),
        ("id_token", json!("not.a.jwt")),
    ] {
        login
            .idp
            .script(|script| script.refresh_says = Some((name, value)));
        assert_eq!(
            login.link.refused(RESOURCE, Some(EVER)).await,
            "server_error",
            "{name}"
        );
        assert_eq!(login.link.held(RESOURCE).0, ACCESS_TOKEN, "{name}");
    }
    login.idp.script(|script| script.refresh_says = None);
    login.link.renewed(4).await;
    let spent: Vec<_> = (0..4).map(refresh_token).collect();
    assert_eq!(login.idp.seen().refreshed_with(), spent);
    let plain = login.session.open(&login.link.tokens[RESOURCE]);
    let scope = Token::decode(&plain).unwrap().scope.unwrap().into_owned();
    assert_eq!(scope, "openid profile", "as it was");
    login.server.stop().await;
}

/// Nothing helps against this: the new refresh token is on no disk but the provider's. It is told at once.
#[tokio::test]
async fn d_043_an_answer_that_is_lost_after_the_rotation_costs_the_login() {
    let mut login = Login::done_at(|script| script.refresh = Answer::Lost).await;
    let code = login.link.refused(RESOURCE, Some(EVER)).await;
    assert_eq!(code, "temporarily_unavailable");
    assert_eq!(login.link.session["status"], "active");
    login.idp.script(|script| script.refresh = Answer::Good);
    assert_eq!(login.link.refused(RESOURCE, Some(EVER)).await, "login_required");
    login.link.until_status("failed").await;
    assert_eq!(login.idp.seen().refreshed_with(), [REFRESH_TOKEN, REFRESH_TOKEN]);
    login.server.stop().await;
}

#[tokio::test]
async fn d_043_each_renewal_spends_the_newest_refresh_token_also_after_a_restart() {
    let mut login = Login::done().await;
    for n in 1..=2 {
        login.link.renewed(n).await;
    }
    login.server.kill().await;
    let server = login.site.start().await;
    let mut link = Link::connect(&server, &login.session).await;
    assert_eq!(link.held(RESOURCE).0, access_token(2));
    link.renewed(3).await;
    let spent: Vec<_> = (0..3).map(refresh_token).collect();
    assert_eq!(login.idp.seen().refreshed_with(), spent);
    server.stop().await;
}

#[tokio::test]
async fn d_043_what_a_device_asked_for_before_it_left_is_kept() {
    let login = Login::renewing().await;
    let before = login.site.stage(&login.session).await;
    login.link.leave().await;
    login.idp.script(|script| script.refresh = Answer::Good);
    login.site.until_stage_differs(&login.session, &before).await;
    let mut link = Link::connect(&login.server, &login.session).await;
    link.has(RESOURCE, 1).await;
    assert_eq!(login.idp.seen().refreshed_with().len(), 1);
    link.renewed(2).await;
    login.server.stop().await;
}

#[tokio::test]
async fn d_043_a_device_that_leaves_comes_back_and_asks_again_joins_its_own_renewal() {
    let login = Login::renewing().await;
    login.link.leave().await;
    let mut link = Link::connect(&login.server, &login.session).await;
    link.ask_for("again", RESOURCE, Some(LONG)).await;
    link.caught_up().await;
    login.idp.script(|script| script.refresh = Answer::Good);
    link.until(|link| !link.replies.is_empty()).await;
    assert_eq!(link.replies, [ready("again", RESOURCE)]);
    assert_eq!(login.idp.seen().refreshed_with(), [REFRESH_TOKEN]);
    assert_eq!(link.session["status"], "active");
    link.renewed(2).await;
    login.server.stop().await;
}

#[tokio::test]
async fn d_043_a_server_that_leaves_asks_nothing_more_of_the_provider() {
    let mut login = Login::renewing().await;
    // It waits for the first, and wants another exchange then.
    login.link.ask_for("second", API, Some(EVER)).await;
    login.idp.until_seen(|seen| seen.exchanged_for().len() == 1).await;
    login.server.terminate();
    assert_eq!(login.link.closed().await, 1001);
    login.idp.script(|script| script.refresh = Answer::Good);
    login.server.left().await;
    let seen = login.idp.seen();
    assert_eq!((seen.refreshed_with().len(), seen.exchanged_for().len()), (1, 1));
    let server = login.site.start().await;
    let mut link = Link::connect(&server, &login.session).await;
    link.renewed(2).await;
    server.stop().await;
}

#[tokio::test]
async fn d_043_a_refresh_token_that_is_refused_ends_in_a_login() {
    let mut login = Login::done().await;
    let mut other = Link::connect(&login.server, &login.session).await;
    login.idp.script(|script| script.refresh = Answer::Refused);
    assert_eq!(login.link.refused(RESOURCE, Some(EVER)).await, "login_required");
    for link in [&mut login.link, &mut other] {
        link.until_status("failed").await;
        assert_eq!(link.session["error"], "login_required");
    }
    assert_eq!(
        login.site.stage(&login.session).await["failed"]["error"],
        "login_required"
    );
    login.idp.script(|script| script.refresh = Answer::Good);
    assert_eq!(other.refused(RESOURCE, Some(EVER)).await, "login_required");
    assert_eq!(
        login.idp.seen().refreshed_with().len(),
        1,
        "the provider is left alone"
    );
    let late = Link::connect(&login.server, &login.session).await;
    assert_eq!(late.session["status"], "failed");
    login.server.stop().await;
}

#[tokio::test]
async fn d_032_no_rotation_leaves_anything_plain_on_disk() {
    let mut login = Login::done().await;
    login.link.asked(OTHER, None).await;
    login.link.has(OTHER, 0).await;
    for n in 1..=3 {
        login.link.renewed(n).await;
        login.link.gets(OTHER, Some(LONG)).await;
    }
    let files = login.site.dump();
    // The record once more in one piece: SQLite tears long ones.
    let record = login.site.record(&login.session).await.unwrap().value;
    let files = files.into_iter().map(|(_, bytes)| bytes);
    let all: Vec<u8> = files.chain([record]).flatten().collect();
    for resource in [RESOURCE, OTHER] {
        let sealed = login.link.tokens[resource].as_bytes();
        assert!(holds(&all, sealed), "the sealed token is there");
    }
    // The numbered ones begin like the first.
    let challenge = login.session.challenge_text();
    for secret in [
        ACCESS_TOKEN.as_bytes(),
        REFRESH_TOKEN.as_bytes(),
        challenge.as_bytes(),
        &login.session.secret,
    ] {
        assert!(!holds(&all, secret), "a secret is on disk");
    }
    login.server.stop().await;
}

#[tokio::test]
async fn d_044_the_end_revokes_the_newest_refresh_token() {
    let mut login = Login::done().await;
    for n in 1..=2 {
        login.link.renewed(n).await;
    }
    login.link.ask(&Ask::End { id: "bye".into() }).await;
    assert_eq!(login.link.closed().await, 1000);
    assert_eq!(login.idp.seen().revoked, [refresh_token(2), access_token(2)]);
    assert!(login.site.record(&login.session).await.is_none());
    assert_unsaid(&login.server.stop().await, &[ACCESS_TOKEN, REFRESH_TOKEN]);
}

//! D-041, D-042: a resource whose token is exchanged for the login's own (RFC 8693).

use device_proto::token::Token;

use crate::kit::browser::Browser;
use crate::kit::idp::{ACCESS_TOKEN, Answer, Idp, LIFETIME, REFRESH_TOKEN, access_token, exchanged};
use crate::kit::leak::assert_unsaid;
use crate::kit::link::{EVER, Link, ready};
use crate::kit::login::{Login, signed_in};
use crate::kit::session::{API, RESOURCE, Session};
use crate::kit::site::Site;

/// The audience in [`API`].
const AUDIENCE: &str = "my-api";

/// Exchanges of one session at once.
const MAX_EXCHANGES: usize = 16;

/// Exchanged for a resource, by the default rules.
const APPLICATION: &str = "urn:sap:identity:application:provider:name:my-app";

#[tokio::test]
async fn d_041_a_token_is_exchanged_for_an_audience_or_a_resource_on_first_use() {
    let mut login = Login::done().await;
    for (resource, target) in [(API, AUDIENCE), (APPLICATION, APPLICATION)] {
        for _ in 0..2 {
            login.link.gets(resource, None).await;
        }
        assert_eq!(login.link.held(resource).0, exchanged(ACCESS_TOKEN, target));
        let plain = login.session.open_for(resource, &login.link.tokens[resource]);
        let token = Token::decode(&plain).unwrap();
        let issued = token.issued_token_type.unwrap();
        assert_eq!(issued, "urn:ietf:params:oauth:token-type:access_token");
    }
    let seen = login.idp.seen();
    let asked_for = [format!("audience={AUDIENCE}"), format!("resource={APPLICATION}")];
    assert_eq!(seen.exchanged_for(), asked_for, "once each");
    assert!(seen.refreshed_with().is_empty());
    assert_eq!(login.link.held(RESOURCE).0, ACCESS_TOKEN);
    assert_unsaid(&login.server.stop().await, &[ACCESS_TOKEN, REFRESH_TOKEN]);
}

#[tokio::test]
async fn d_041_the_operators_rules_decide() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer).and(
        "[[resource]]\nmatch = \"urn:d:special\"\nkind = \"exchange\"\naudience = \"{urn}\"\nscope = \"openid x\"\n\
         [[resource]]\nmatch = \"urn:d:*\"\nkind = \"session\"\n",
    );
    let server = site.start().await;
    let (_session, mut link) = signed_in(&server, RESOURCE).await;
    link.gets("urn:d:special", None).await;
    assert_eq!(
        idp.seen().exchanged_for(),
        ["audience=urn:d:special scope=openid x"]
    );
    link.gets("urn:d:speciall", None).await;
    assert_eq!(link.held("urn:d:speciall").0, ACCESS_TOKEN);
    assert_eq!(link.refused(API, None).await, "invalid_target");
    server.stop().await;
}

#[tokio::test]
async fn d_041_a_login_may_begin_with_an_exchanged_token() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let (_session, mut link) = signed_in(&server, API).await;
    assert_eq!(link.tokens.keys().collect::<Vec<_>>(), [API]);
    assert_eq!(link.held(API).0, exchanged(ACCESS_TOKEN, AUDIENCE));
    // The login's own token is there all the same.
    link.gets(RESOURCE, None).await;
    assert_eq!(link.held(RESOURCE).0, ACCESS_TOKEN);
    link.gets(APPLICATION, None).await;
    assert!(idp.seen().refreshed_with().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn d_042_a_login_whose_first_exchange_is_refused_fails_with_the_providers_word() {
    let idp = Idp::start().await;
    idp.script(|script| script.exchange = Answer::Error("invalid_target"));
    let server = Site::new(&idp.issuer).start().await;
    let session = Session::begin_for(&server, API).await;
    let mut link = Link::connect(&server, &session).await;
    assert_eq!(Browser::new().confirm(session.url()).await.outcome(), "refused");
    link.until_status("failed").await;
    assert_eq!(link.session["error"], "invalid_target");
    assert!(link.tokens.is_empty());
    assert_eq!(
        idp.seen().revoked,
        [REFRESH_TOKEN, ACCESS_TOKEN],
        "what reached no device is given back"
    );
    server.stop().await;
}

#[tokio::test]
async fn d_042_a_provider_that_fails_costs_neither_the_session_nor_other_tokens() {
    let mut login = Login::done().await;
    let before = login.site.stage(&login.session).await;
    for (answer, code) in [
        (Answer::Status(503), "temporarily_unavailable"),
        (Answer::Status(429), "temporarily_unavailable"),
        (
            Answer::Error("temporarily_unavailable"),
            "temporarily_unavailable",
        ),
        (Answer::Garbage, "server_error"),
        (Answer::Error("invalid_target"), "invalid_target"),
        (Answer::Error("invalid_scope"), "invalid_scope"),
        (Answer::Error("unauthorized_client"), "unauthorized_client"),
    ] {
        login.idp.script(|script| script.exchange = answer);
        assert_eq!(login.link.refused(API, None).await, code);
        assert_eq!(login.link.session["status"], "active", "{code}");
        assert_eq!(login.site.stage(&login.session).await, before, "{code}");
    }
    login.idp.script(|script| script.exchange = Answer::Good);
    login.link.gets(API, None).await;
    assert!(
        login.idp.seen().refreshed_with().is_empty(),
        "none of this is about the login"
    );
    login.server.stop().await;
}

#[tokio::test]
async fn d_040_a_slow_exchange_holds_up_nobody_else() {
    let mut login = Login::done_at(|script| script.exchange = Answer::Held).await;
    for id in ["a", "b", "c"] {
        login.link.ask_for(id, API, None).await;
    }
    login
        .idp
        .until_seen(|seen| !seen.exchanged_for().is_empty())
        .await;
    login.link.renewed(1).await;
    login.link.gets("urn:d:other", None).await;
    login.idp.script(|script| script.exchange = Answer::Good);
    login.link.replies.clear();
    login.link.until(|link| link.replies.len() == 3).await;
    for id in ["a", "b", "c"] {
        assert!(
            login.link.replies.contains(&ready(id, API)),
            "{:?}",
            login.link.replies
        );
    }
    assert_eq!(login.link.held(API).0, exchanged(ACCESS_TOKEN, AUDIENCE));
    assert_eq!(login.idp.seen().exchanged_for().len(), 1, "one for all three");
    assert_eq!(login.idp.seen().refreshed_with(), [REFRESH_TOKEN]);
    login.server.stop().await;
}

#[tokio::test]
async fn d_040_more_exchanges_than_a_session_may_have_at_once_wait() {
    let mut login = Login::done_at(|script| script.exchange = Answer::Held).await;
    for n in 0..2 * MAX_EXCHANGES {
        let api = format!("urn:sap:identity:api:name:{n}");
        login.link.ask_for(&n.to_string(), &api, None).await;
    }
    login
        .idp
        .until_seen(|seen| seen.exchanged_for().len() == MAX_EXCHANGES)
        .await;
    // What costs no exchange does not wait.
    login.link.gets(RESOURCE, None).await;
    assert_eq!(login.idp.seen().exchanged_for().len(), MAX_EXCHANGES);
    login.link.replies.clear();
    login.idp.script(|script| script.exchange = Answer::Good);
    login
        .link
        .until(|link| link.replies.len() == 2 * MAX_EXCHANGES)
        .await;
    assert_eq!(login.link.tokens.len(), 2 * MAX_EXCHANGES + 1);
    login.server.stop().await;
}

#[tokio::test]
async fn d_041_a_login_token_that_is_about_to_end_is_renewed_before_it_is_exchanged() {
    let mut login = Login::done_at(|script| script.lifetime = Some(10)).await;
    login.link.gets(API, None).await;
    assert_eq!(login.link.held(API).0, exchanged(&access_token(1), AUDIENCE));
    assert_eq!(login.idp.seen().refreshed_with(), [REFRESH_TOKEN]);
    login.server.stop().await;
}

#[tokio::test]
async fn d_043_a_login_token_that_was_revoked_is_renewed_and_exchanged_again() {
    let mut login = Login::done_at(|script| script.revoked = Some(ACCESS_TOKEN.into())).await;
    login.link.gets(API, None).await;
    assert_eq!(login.link.held(API).0, exchanged(&access_token(1), AUDIENCE));
    assert_eq!(login.idp.seen().refreshed_with(), [REFRESH_TOKEN]);
    // Only once: a provider that always says so is believed.
    login
        .idp
        .script(|script| script.exchange = Answer::Error("invalid_request"));
    assert_eq!(login.link.refused(APPLICATION, None).await, "invalid_request");
    assert_eq!(login.idp.seen().refreshed_with().len(), 2);
    assert_eq!(login.link.session["status"], "active");
    login.server.stop().await;
}

#[tokio::test]
async fn d_043_an_exchange_finds_out_that_the_login_was_ended() {
    let mut login = Login::done().await;
    login.idp.script(|script| {
        script.revoked = Some(ACCESS_TOKEN.into());
        script.refresh = Answer::Refused;
    });
    assert_eq!(login.link.refused(API, None).await, "login_required");
    login.link.until_status("failed").await;
    assert_eq!(login.link.session["error"], "login_required");
    login.server.stop().await;
}

#[tokio::test]
async fn d_043_an_exchanged_token_is_kept_over_a_restart_and_renewed_by_itself() {
    let mut login = Login::done_at(|script| script.lifetime = Some(3 * LIFETIME)).await;
    login.link.asked(API, None).await;
    login.server.kill().await;
    let server = login.site.start().await;
    let mut link = Link::connect(&server, &login.session).await;
    assert_eq!(link.held(API).0, exchanged(ACCESS_TOKEN, AUDIENCE));
    link.gets(API, Some(2 * LIFETIME)).await;
    assert_eq!(login.idp.seen().exchanged_for().len(), 2);
    assert!(
        login.idp.seen().refreshed_with().is_empty(),
        "the login's own token lasts"
    );
    link.gets(RESOURCE, Some(4 * LIFETIME)).await;
    link.has(RESOURCE, 1).await;
    assert_eq!(
        link.held(API).0,
        exchanged(ACCESS_TOKEN, AUDIENCE),
        "only what is asked for"
    );
    server.stop().await;
}

/// Many providers let no exchanged token outlive the one it was exchanged for.
#[tokio::test]
async fn d_041_an_exchanged_token_that_is_too_short_is_exchanged_once_more_for_a_longer_login() {
    let mut login = Login::done().await;
    login.link.gets(API, Some(EVER)).await;
    assert_eq!(login.link.held(API).0, exchanged(&access_token(1), AUDIENCE));
    assert_eq!(login.idp.seen().exchanged_for().len(), 2);
    // What there is is better than nothing.
    login.idp.script(|script| script.refresh = Answer::Status(503));
    login.link.gets(API, Some(EVER)).await;
    assert_eq!(login.idp.seen().exchanged_for().len(), 3);
    login.server.stop().await;
}

#[tokio::test]
async fn d_042_no_word_about_one_exchange_sends_anybody_to_a_new_login() {
    let mut login = Login::done().await;
    for code in ["invalid_grant", "login_required", "expired_token"] {
        login.idp.script(|script| script.exchange = Answer::Error(code));
        assert_eq!(login.link.refused(API, None).await, "invalid_target", "{code}");
        assert_eq!(login.link.session["status"], "active", "{code}");
    }
    login.server.stop().await;
}

//! D-021, D-023: whatever the provider does wrong, the person and the device learn it at once.

use crate::kit::browser::Browser;
use crate::kit::idp::{Answer, Authorize, IdToken, Idp, Script};
use crate::kit::leak::assert_unsaid;
use crate::kit::link::Link;
use crate::kit::server::Server;
use crate::kit::session::Session;
use crate::kit::site::Site;

/// Runs a login at a provider that does what `script` says; expects how it ends for the person and the device.
async fn fails(script: impl FnOnce(&mut Script), outcome: &str, error: &str) {
    let idp = Idp::start().await;
    idp.script(script);
    let server = Site::new(&idp.issuer).start().await;
    refused(&server, outcome, error).await;
    let log = server.stop().await;
    assert_unsaid(
        &log,
        &[
            crate::kit::idp::CODE,
            crate::kit::idp::ACCESS_TOKEN,
            crate::kit::idp::REFRESH_TOKEN,
        ],
    );
}

async fn refused(server: &Server, outcome: &str, error: &str) {
    let session = Session::begin(server).await;
    let mut link = Link::connect(server, &session).await;
    let page = Browser::new().confirm(session.url()).await;
    assert_eq!(page.outcome(), outcome);
    assert!(page.status.is_client_error() || page.status.is_server_error());
    link.until_status("failed").await;
    assert_eq!(link.session["error"], error);
    assert!(!link.session["error_description"].is_empty() && link.tokens.is_empty());
    let again = Link::connect(server, &session).await;
    assert_eq!(
        again.session["error"], error,
        "a device that was away learns it too"
    );
    assert_eq!(Browser::new().get(session.url()).await.outcome(), "already-used");
}

#[tokio::test]
async fn d_023_the_person_says_no() {
    fails(
        |script| script.authorize = Authorize::Error("access_denied"),
        "refused",
        "access_denied",
    )
    .await;
}

#[tokio::test]
async fn d_023_discovery_fails() {
    fails(
        |script| script.discovery = Answer::Status(503),
        "provider-down",
        "temporarily_unavailable",
    )
    .await;
    fails(
        |script| script.discovery = Answer::Garbage,
        "provider-down",
        "server_error",
    )
    .await;
    fails(
        |script| script.discovery = Answer::Refused,
        "provider-down",
        "server_error",
    )
    .await;
}

#[tokio::test]
async fn d_023_nobody_listens_where_the_provider_should_be() {
    let server = Site::new("http://127.0.0.1:1").start().await;
    refused(&server, "provider-down", "temporarily_unavailable").await;
    server.stop().await;
}

#[tokio::test]
async fn d_023_the_token_endpoint_fails() {
    fails(
        |script| script.token = Answer::Status(500),
        "provider-down",
        "temporarily_unavailable",
    )
    .await;
    fails(
        |script| script.token = Answer::Garbage,
        "provider-down",
        "server_error",
    )
    .await;
    fails(
        |script| script.token = Answer::Refused,
        "refused",
        "invalid_grant",
    )
    .await;
}

/// Waits: see [`super::deadlines`].
pub(super) async fn d_023_the_token_endpoint_never_answers() {
    fails(
        |script| script.token = Answer::Held,
        "provider-down",
        "temporarily_unavailable",
    )
    .await;
}

#[tokio::test]
async fn d_023_the_browser_comes_back_without_a_code_or_from_elsewhere() {
    fails(
        |script| script.authorize = Authorize::NoCode,
        "refused",
        "server_error",
    )
    .await;
    fails(
        |script| script.authorize = Authorize::OtherIss,
        "refused",
        "server_error",
    )
    .await;
}

#[tokio::test]
async fn d_021_an_id_token_for_another_login_is_refused() {
    let idp = Idp::start().await;
    // As generous as a provider can be: what we accept is ours to say.
    idp.script(|script| script.algorithms = Some(vec!["ES256", "HS256", "none"]));
    let server = Site::new(&idp.issuer).start().await;
    use IdToken::*;
    for wrong in [
        Missing,
        Issuer,
        Audience,
        Expired,
        Nonce,
        NoNonce,
        Signature,
        Unsigned,
        ClientSecret,
        Garbage,
    ] {
        println!("{wrong:?}");
        idp.script(|script| script.id_token = wrong);
        refused(&server, "provider-down", "server_error").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn d_021_rotated_keys_are_fetched_once_a_minute_at_most() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    signs_in(&server).await;
    assert_eq!(idp.seen().keys, 1);
    signs_in(&server).await;
    assert_eq!(idp.seen().keys, 1, "known keys are not fetched again");
    idp.rotate_keys("second");
    signs_in(&server).await;
    assert_eq!(idp.seen().keys, 2);
    idp.rotate_keys("third");
    refused(&server, "provider-down", "server_error").await;
    assert_eq!(idp.seen().keys, 2, "made-up key ids do not make us ask and ask");
    server.stop().await;
}

async fn signs_in(server: &Server) {
    let session = Session::begin(server).await;
    let mut link = Link::connect(server, &session).await;
    assert_eq!(Browser::new().confirm(session.url()).await.outcome(), "signed-in");
    link.until_status("active").await;
}

#[tokio::test]
async fn d_023_a_provider_that_was_down_is_found_when_it_is_back() {
    let idp = Idp::start().await;
    idp.script(|script| script.discovery = Answer::Status(503));
    let server = Site::new(&idp.issuer).start().await;
    refused(&server, "provider-down", "temporarily_unavailable").await;
    idp.script(|script| script.discovery = Answer::Good);
    signs_in(&server).await;
    server.stop().await;
}

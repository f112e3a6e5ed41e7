//! D-024, D-030 … D-034, D-044: the token reaches the device, outlives the server, and ends with the session.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use device_proto::Verifier;
use device_proto::ask::{Ask, Reply};
use device_proto::doc::{Map, Replica};
use device_proto::frame::Message;
use device_proto::token::Token;
use serde_json::Value;

use crate::kit::browser::Browser;
use crate::kit::idp::{ACCESS_TOKEN, Idp, REFRESH_TOKEN};
use crate::kit::leak::{assert_unsaid, holds};
use crate::kit::link::Link;
use crate::kit::login::Login;
use crate::kit::server::Server;
use crate::kit::session::{RESOURCE, Session, framed};
use crate::kit::site::{CLIENT_SECRET, Site};
use crate::kit::socket::Raw;

/// Restarts that a device with an old doc goes through.
const RESTARTS: usize = 20;

fn access_token(session: &Session, link: &Link) -> String {
    let plain = session.open(&link.tokens[RESOURCE]);
    Token::decode(&plain).unwrap().access_token.into_owned()
}

#[tokio::test]
async fn d_024_the_token_is_in_the_doc_and_opens_with_the_challenge() {
    let login = Login::done().await;
    let plain = login.session.open(&login.link.tokens[RESOURCE]);
    let token = Token::decode(&plain).unwrap();
    assert_eq!(
        (&*token.access_token, &*token.token_type),
        (ACCESS_TOKEN, "Bearer")
    );
    assert_eq!(
        (token.scope.as_deref(), &*token.resource),
        (Some("openid profile"), RESOURCE)
    );
    assert_eq!(login.link.session["subject"], "Alice Example");
    assert!(
        !login.link.session.contains_key("expires_at"),
        "its end is unknown"
    );
    let other = Session {
        secret: [7; 32],
        ..Session::of(login.session.secret, login.session.begun.clone())
    };
    let opens = std::panic::catch_unwind(|| other.open(&login.link.tokens[RESOURCE]));
    assert!(opens.is_err(), "another challenge opens nothing");
    assert_unsaid(
        &login.server.stop().await,
        &[ACCESS_TOKEN, REFRESH_TOKEN, &login.session.challenge_text()],
    );
}

#[tokio::test]
async fn d_024_the_built_in_provider_gives_a_token_too() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    let mut link = Link::connect(&server, &session).await;
    assert_eq!(Browser::new().sign_in(session.url()).await.outcome(), "signed-in");
    link.until_status("active").await;
    let token = access_token(&session, &link);
    assert_unsaid(
        &server.stop().await,
        &[&token, &session.challenge_text(), "?code=", "&state="],
    );
}

#[tokio::test]
async fn d_031_the_refresh_token_never_reaches_the_device() {
    let login = Login::done().await;
    let plain: Value = serde_json::from_slice(&login.session.open(&login.link.tokens[RESOURCE])).unwrap();
    let mut members: Vec<_> = plain.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(
        members,
        ["access_token", "expires_at", "resource", "scope", "token_type"]
    );
    assert_eq!(login.link.tokens.len(), 1);
    login.server.stop().await;
}

#[tokio::test]
async fn d_032_what_is_on_disk_yields_no_token() {
    let login = Login::done().await;
    let files = login.site.dump();
    assert!(
        files
            .iter()
            .all(|(name, _)| name.starts_with("ciba.db") || name.starts_with("keys/")),
        "a database and keys, and nothing else"
    );
    let all: Vec<u8> = files.into_iter().flat_map(|(_, bytes)| bytes).collect();
    let holds = |secret: &[u8]| holds(&all, secret);
    assert!(
        holds(login.link.tokens[RESOURCE].as_bytes()),
        "the sealed token is there"
    );
    assert!(
        holds(login.session.challenge().verifier().to_string().as_bytes()),
        "the verifier is there"
    );
    for secret in [
        ACCESS_TOKEN.as_bytes(),
        REFRESH_TOKEN.as_bytes(),
        login.session.challenge_text().as_bytes(),
        &login.session.secret,
    ] {
        assert!(!holds(secret), "a secret is on disk");
    }
    // Nor does what the server has open it: its client secret, the verifier, the request id.
    let verifier = Base64UrlUnpadded::decode_vec(&login.session.challenge().verifier().to_string()).unwrap();
    let hashed = Base64UrlUnpadded::decode_vec(&Verifier::of(CLIENT_SECRET).to_string()).unwrap();
    for key in [verifier, hashed, CLIENT_SECRET.as_bytes()[..32].to_vec()] {
        let thief = Session {
            secret: key.try_into().unwrap(),
            ..Session::of(login.session.secret, login.session.begun.clone())
        };
        assert!(std::panic::catch_unwind(|| thief.open(&login.link.tokens[RESOURCE])).is_err());
    }
    login.server.stop().await;
}

#[tokio::test]
async fn d_033_a_device_finds_its_token_after_a_restart() {
    let mut login = Login::done().await;
    login.server.kill().await;
    let server = login.site.start().await;
    let again = Link::connect(&server, &login.session).await;
    assert_eq!(
        (&again.tokens, &again.session),
        (&login.link.tokens, &login.link.session)
    );
    assert_eq!(access_token(&login.session, &again), ACCESS_TOKEN);
    assert_eq!(login.idp.seen().token.len(), 1, "no new login");
    server.stop().await;
}

#[tokio::test]
async fn d_033_a_login_goes_on_after_a_restart() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let session = Session::begin(&server).await;
    let mut browser = Browser::new();
    let back = browser.confirm_until_callback(session.url()).await;
    server.stop().await;
    let server = site.start().await;
    let mut link = Link::connect(&server, &session).await;
    assert_eq!(browser.get(&back).await.outcome(), "signed-in");
    link.until_status("active").await;
    server.stop().await;
}

#[tokio::test]
async fn d_034_the_newest_token_wins_at_a_device_that_kept_its_doc() {
    let mut login = Login::done().await;
    drop(login.link);
    let mut kept = Replica::default();
    for restart in 0..RESTARTS {
        login.server.stop().await;
        let newest = replace_token(&login.site, &login.session, restart).await;
        login.server = login.site.start().await;
        let mut raw = Raw::granted(&login.server, &login.session).await;
        let state = raw.round_trip(login.session.id.as_str()).await;
        let changed = kept.apply(&state).unwrap();
        let token = changed
            .iter()
            .find(|entry| entry.map == Map::Tokens)
            .expect("a new token is seen");
        assert_eq!(
            (token.value == Some(newest), &*token.key),
            (true, RESOURCE),
            "restart {restart}"
        );
    }
    login.server.stop().await;
}

/// Seals another token into the record, as a refresh would; returns the seal.
async fn replace_token(site: &Site, session: &Session, n: usize) -> String {
    let sealed = session.seal_for(RESOURCE, n, format!("token {n}").as_bytes());
    site.rewrite(session, |tokens| {
        tokens[RESOURCE]["sealed"] = sealed.clone().into();
    })
    .await;
    sealed
}

#[tokio::test]
async fn d_044_the_end_is_told_revoked_forgotten_and_closed() {
    let mut login = Login::done().await;
    let mut other = Raw::granted(&login.server, &login.session).await;
    login.link.ask(&Ask::End { id: "bye".into() }).await;
    login.link.until(|link| !link.replies.is_empty()).await;
    assert_eq!(login.link.replies, [Reply::Ended { id: "bye".into() }]);
    assert_eq!(login.link.closed().await, 1000);
    assert_eq!(
        other.frame().await,
        framed(login.session.id.as_str(), Message::Close(Some("session ended")))
    );
    assert_eq!(other.closed().await, 1000);
    assert_eq!(login.idp.seen().revoked, [REFRESH_TOKEN, ACCESS_TOKEN]);
    assert!(login.site.record(&login.session).await.is_none());
    assert_eq!(Browser::new().get(login.session.url()).await.outcome(), "expired");
    assert_unsaid(&login.server.stop().await, &[REFRESH_TOKEN]);
}

/// Waits: see [`super::deadlines`].
pub(super) async fn d_044_a_provider_that_does_not_revoke_keeps_no_session_alive() {
    let mut login = Login::done_at(|script| script.revocation_hangs = true).await;
    login.link.ask(&Ask::End { id: "bye".into() }).await;
    login.link.until(|link| !link.replies.is_empty()).await;
    assert_eq!(login.link.closed().await, 1000);
    assert!(login.site.record(&login.session).await.is_none());
    login.server.stop().await;
}

#[tokio::test]
async fn d_044_a_session_that_nobody_signed_in_to_ends_too() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let session = Session::begin(&server).await;
    let mut link = Link::connect(&server, &session).await;
    link.ask(&Ask::End { id: "bye".into() }).await;
    assert_eq!(link.closed().await, 1000);
    assert_eq!(link.replies, [Reply::Ended { id: "bye".into() }]);
    assert!(site.record(&session).await.is_none());
    assert!(idp.seen().revoked.is_empty());
    server.stop().await;
}

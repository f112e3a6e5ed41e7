//! D-024, D-030 … D-034, D-044: the token reaches the device, outlives the server, and ends with the session.

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use device_proto::Verifier;
use device_proto::ask::{Ask, Reply};
use device_proto::doc::{Map, Replica};
use device_proto::frame::Message;
use device_proto::seal::{Key, NONCE_LEN, Purpose};
use device_proto::token::Token;
use serde_json::Value;
use store::{Space, Swap, UnixSeconds};

use crate::kit::browser::Browser;
use crate::kit::device::{Link, RESOURCE, Raw, Session, framed};
use crate::kit::idp::{ACCESS_TOKEN, Idp, REFRESH_TOKEN};
use crate::kit::server::{CLIENT_SECRET, Server, Site, assert_unsaid};

/// Restarts that a device with an old doc goes through.
const RESTARTS: usize = 20;

/// Begins a session and signs in to it.
pub(crate) async fn signed_in(server: &Server) -> (Session, Link) {
    signed_in_for(server, RESOURCE).await
}

/// The same for a session whose first token is for this resource.
pub(crate) async fn signed_in_for(server: &Server, resource: &str) -> (Session, Link) {
    let session = Session::begin_for(server, resource).await;
    let mut link = Link::connect(server, &session).await;
    assert_eq!(Browser::new().confirm(session.url()).await.outcome(), "signed-in");
    link.until_status("active").await;
    (session, link)
}

fn access_token(session: &Session, link: &Link) -> String {
    let plain = session.open(&link.tokens[RESOURCE]);
    Token::decode(&plain).unwrap().access_token.into_owned()
}

#[tokio::test]
async fn d_024_the_token_is_in_the_doc_and_opens_with_the_challenge() {
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let (session, link) = signed_in(&server).await;
    let plain = session.open(&link.tokens[RESOURCE]);
    let token = Token::decode(&plain).unwrap();
    assert_eq!(
        (&*token.access_token, &*token.token_type),
        (ACCESS_TOKEN, "Bearer")
    );
    assert_eq!(
        (token.scope.as_deref(), &*token.resource),
        (Some("openid profile"), RESOURCE)
    );
    assert_eq!(link.session["subject"], "Alice Example");
    assert!(
        !link.session.contains_key("expires_at"),
        "nobody knows when it ends"
    );
    let other = Session {
        secret: [7; 32],
        ..Session::of(session.secret, session.begun.clone())
    };
    let opens = std::panic::catch_unwind(|| other.open(&link.tokens[RESOURCE]));
    assert!(opens.is_err(), "another challenge opens nothing");
    assert_unsaid(
        &server.stop().await,
        &[ACCESS_TOKEN, REFRESH_TOKEN, &session.challenge_text()],
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
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer).start().await;
    let (session, link) = signed_in(&server).await;
    let plain: Value = serde_json::from_slice(&session.open(&link.tokens[RESOURCE])).unwrap();
    let mut members: Vec<_> = plain.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(
        members,
        ["access_token", "expires_at", "resource", "scope", "token_type"]
    );
    assert_eq!(link.tokens.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn d_032_what_is_on_disk_yields_no_token() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, link) = signed_in(&server).await;
    let files = site.dump();
    assert!(
        files.iter().all(|(name, _)| name.starts_with("ciba.db")),
        "a database and nothing else"
    );
    let all: Vec<u8> = files.into_iter().flat_map(|(_, bytes)| bytes).collect();
    let holds = |secret: &[u8]| holds(&all, secret);
    assert!(
        holds(link.tokens[RESOURCE].as_bytes()),
        "the sealed token is there"
    );
    assert!(
        holds(session.challenge().verifier().to_string().as_bytes()),
        "the verifier is there"
    );
    for secret in [
        ACCESS_TOKEN.as_bytes(),
        REFRESH_TOKEN.as_bytes(),
        session.challenge_text().as_bytes(),
        &session.secret,
    ] {
        assert!(!holds(secret), "a secret is on disk");
    }
    // Nor does what the server has open it: its client secret, the verifier, the request id.
    let verifier = Base64UrlUnpadded::decode_vec(&session.challenge().verifier().to_string()).unwrap();
    let hashed = Base64UrlUnpadded::decode_vec(&Verifier::of(CLIENT_SECRET).to_string()).unwrap();
    for key in [verifier, hashed, CLIENT_SECRET.as_bytes()[..32].to_vec()] {
        let thief = Session {
            secret: key.try_into().unwrap(),
            ..Session::of(session.secret, session.begun.clone())
        };
        assert!(std::panic::catch_unwind(|| thief.open(&link.tokens[RESOURCE])).is_err());
    }
    server.stop().await;
}

/// Whether these bytes hold a secret, however it was written down.
pub(crate) fn holds(all: &[u8], secret: &[u8]) -> bool {
    spellings(secret)
        .iter()
        .any(|text| all.windows(text.len()).any(|at| at == text))
}

/// The same bytes as other code may have written them down.
fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    // Only whole groups of three bytes do not depend on what follows.
    let whole = &secret[..secret.len() - secret.len() % 3];
    let texts = [
        hex.to_uppercase(),
        hex,
        Base64::encode_string(whole),
        Base64UrlUnpadded::encode_string(whole),
    ];
    let utf16 = secret.iter().flat_map(|byte| [*byte, 0]).collect();
    [
        vec![secret.to_vec(), utf16],
        texts.map(String::into_bytes).to_vec(),
    ]
    .concat()
}

#[tokio::test]
async fn d_033_a_device_finds_its_token_after_a_restart() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, link) = signed_in(&server).await;
    server.kill().await;
    let server = site.start().await;
    let again = Link::connect(&server, &session).await;
    assert_eq!((&again.tokens, &again.session), (&link.tokens, &link.session));
    assert_eq!(access_token(&session, &again), ACCESS_TOKEN);
    assert_eq!(idp.seen().token.len(), 1, "no new login");
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
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let mut server = site.start().await;
    let (session, link) = signed_in(&server).await;
    drop(link);
    let mut kept = Replica::default();
    for restart in 0..RESTARTS {
        server.stop().await;
        let newest = replace_token(&site, &session, restart).await;
        server = site.start().await;
        let mut raw = Raw::granted(&server, &session).await;
        let state = raw.round_trip(session.id.as_str()).await;
        let changed = kept.apply(&state).unwrap();
        let token = changed
            .iter()
            .find(|entry| entry.map == Map::Tokens)
            .expect("a new token is seen");
        assert_eq!(
            (token.value == newest, &*token.key),
            (true, RESOURCE),
            "restart {restart}"
        );
    }
    server.stop().await;
}

/// Seals another token into the record, as a refresh would; returns the seal.
async fn replace_token(site: &Site, session: &Session, n: usize) -> String {
    let sealed = sealed(session, RESOURCE, n, format!("token {n}").as_bytes());
    rewrite(site, session, |tokens| {
        tokens[RESOURCE]["sealed"] = sealed.clone().into();
    })
    .await;
    sealed
}

/// Returns a text as the session's token of a resource; `n` is different for each.
pub(crate) fn sealed(session: &Session, resource: &str, n: usize, text: &[u8]) -> String {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&n.to_le_bytes());
    let key = Key::of_challenge(session.challenge(), &session.id, Purpose::Token);
    key.seal(resource, nonce, text).to_string()
}

/// Changes the tokens in a session's record.
pub(crate) async fn rewrite(site: &Site, session: &Session, edit: impl FnOnce(&mut Value)) {
    let (store, id) = (site.store(), session.id.as_str());
    let found = site.record(id).await.unwrap();
    let mut record: Value = serde_json::from_slice(&found.value).unwrap();
    edit(&mut record["stage"]["active"]["tokens"]);
    let key = store::Key {
        space: Space::Session,
        id,
    };
    let value = serde_json::to_vec(&record).unwrap();
    let (later, now) = (UnixSeconds::new(u64::MAX >> 2), UnixSeconds::new(0));
    let swapped = store
        .compare_and_set(key, found.version, value, later, now)
        .await
        .unwrap();
    assert!(matches!(swapped, Swap::Done(_)));
}

#[tokio::test]
async fn d_044_the_end_is_told_revoked_forgotten_and_closed() {
    let idp = Idp::start().await;
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, mut link) = signed_in(&server).await;
    let mut other = Raw::granted(&server, &session).await;
    link.ask(&Ask::End { id: "bye".into() }).await;
    link.until(|link| !link.replies.is_empty()).await;
    assert_eq!(link.replies, [Reply::Ended { id: "bye".into() }]);
    assert_eq!(link.closed().await, 1000);
    assert_eq!(
        other.frame().await,
        framed(session.id.as_str(), Message::Close(Some("session ended")))
    );
    assert_eq!(other.closed().await, 1000);
    assert_eq!(idp.seen().revoked, [REFRESH_TOKEN, ACCESS_TOKEN]);
    assert!(site.record(session.id.as_str()).await.is_none());
    assert_eq!(Browser::new().get(session.url()).await.outcome(), "expired");
    assert_unsaid(&server.stop().await, &[REFRESH_TOKEN]);
}

#[tokio::test]
async fn d_044_a_provider_that_does_not_revoke_keeps_no_session_alive() {
    let idp = Idp::start().await;
    idp.script(|script| script.revocation_hangs = true);
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let (session, mut link) = signed_in(&server).await;
    link.ask(&Ask::End { id: "bye".into() }).await;
    link.until(|link| !link.replies.is_empty()).await;
    assert_eq!(link.closed().await, 1000);
    assert!(site.record(session.id.as_str()).await.is_none());
    server.stop().await;
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
    assert!(site.record(session.id.as_str()).await.is_none());
    assert!(idp.seen().revoked.is_empty());
    server.stop().await;
}

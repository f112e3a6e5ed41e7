//! Our daemon at a server that is not ours, the real `@hocuspocus/server` (D-015).

use anyhow::{Context, Result};
use ciba_tests::{Login, PATIENCE, PeerServer, Relay, World, until};
use device_proto::seal::{Key, KeyUse};
use device_proto::token::Token;
use device_proto::{Challenge, RequestId, Verifier};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::site::RESOURCE;

const SESSION: &str = "a-session-of-theirs";

/// When the tokens here end, Unix seconds: in 2100.
const FAR: u64 = 4_102_444_800;

/// A Hocuspocus server with the one request in front that its users would have to write: the login's start.
struct Theirs {
    world: World,
    relay: Relay,
    peer: PeerServer,
    verifier: Verifier,
    login: Option<Login>,
    _start: MockServer,
}

impl Theirs {
    /// Begins a login there and returns once the daemon has proven its challenge.
    async fn begin(options: &[&str]) -> Result<Self> {
        let world = World::new()?;
        let start = MockServer::start().await;
        let begun = json!({
            "requestId": SESSION, "url": format!("{}/login", start.uri()), "expiresIn": 600, "userCode": "ABCD-EFGH"
        });
        Mock::given(method("POST"))
            .and(path("/auth/par/authorize"))
            .respond_with(ResponseTemplate::new(200).set_body_json(begun))
            .mount(&start)
            .await;
        let relay = Relay::start(&start.uri()).await?;
        let login = world.begin_login(&["start", "--url", &relay.url]).await?;
        let requests = start.received_requests().await.context("requests are recorded")?;
        let pushed: Value = requests.first().context("a login was begun")?.body_json()?;
        let verifier: Verifier = serde_json::from_value(pushed["verifier"].clone())?;
        let mut peer = PeerServer::start(&verifier.to_string(), options).await?;
        relay.sockets_to(&peer.url)?;
        proven(&mut peer).await?;
        Ok(Self {
            world,
            relay,
            peer,
            verifier,
            login: Some(login),
            _start: start,
        })
    }

    /// Plays the server's part of a login: the session is active, and there is a token.
    async fn log_in(&mut self, token: &str) -> Result<()> {
        self.publish(token).await?;
        self.set("session", "status", "active").await?;
        let login = self.login.take().context("a login waits")?;
        let _ = login.end().await?.success();
        Ok(())
    }

    async fn publish(&mut self, token: &str) -> Result<()> {
        let sealed = self.seal(token)?;
        self.set("tokens", RESOURCE, &sealed).await
    }

    async fn set(&mut self, map: &str, key: &str, value: &str) -> Result<()> {
        let set = json!({ "cmd": "set", "doc": SESSION, "map": map, "key": key, "value": value });
        self.peer.done(&set).await.map(drop)
    }

    /// Seals a token as the server may: with the challenge that it was shown.
    fn seal(&self, access_token: &str) -> Result<String> {
        let shown = self.relay.challenge().context("a challenge was proven")?;
        assert!(self.verifier.accepts(&shown));
        let mut secret = [0; 32];
        let challenge = Challenge::decode(&shown, &mut secret)?;
        let session: RequestId = SESSION.parse()?;
        let token = Token {
            access_token: access_token.into(),
            token_type: "Bearer".into(),
            expires_at: FAR,
            scope: None,
            issued_token_type: None,
            resource: RESOURCE.into(),
        };
        let key = Key::of_challenge(challenge, &session, KeyUse::Token);
        Ok(key.seal(RESOURCE, [1; 12], &token.encode()).as_str().to_owned())
    }

    /// Waits until `ciba token` prints this.
    async fn until_token(&self, token: &str) -> Result<()> {
        until(&format!("the token {token}"), PATIENCE, async || {
            let printed = self.world.ciba(&["token"]).await.ok()?.success();
            (printed == token).then_some(())
        })
        .await
    }
}

async fn proven(peer: &mut PeerServer) -> Result<()> {
    let shown = peer.script.event("authenticate").await?;
    assert_eq!(
        (&shown["document"], &shown["ok"]),
        (&json!(SESSION), &json!(true))
    );
    peer.script.event("connected").await.map(drop)
}

#[tokio::test]
async fn d_015_our_daemon_takes_tokens_from_it() -> Result<()> {
    let mut theirs = Theirs::begin(&[]).await?;
    theirs.log_in("first-token").await?;
    assert_eq!(theirs.world.ciba(&["token"]).await?.success(), "first-token");
    theirs.publish("second-token").await?;
    theirs.until_token("second-token").await
}

#[tokio::test]
async fn d_015_d_050_our_daemon_comes_back_when_it_is_shown_out() -> Result<()> {
    let mut theirs = Theirs::begin(&["--read-only"]).await?;
    theirs.log_in("first-token").await?;
    let close = json!({ "cmd": "close-socket", "doc": SESSION, "code": 4205, "reason": "Reset Connection" });
    theirs.peer.done(&close).await?;
    assert_eq!(theirs.world.ciba(&["token"]).await?.success(), "first-token");
    proven(&mut theirs.peer).await?;
    theirs.publish("second-token").await?;
    theirs.until_token("second-token").await
}

#[tokio::test]
async fn d_034_a_restarted_server_is_believed_whatever_its_client_id() -> Result<()> {
    // In a merge of the two histories the larger client id would win.
    let mut theirs = Theirs::begin(&["--client-id", "2000000000"]).await?;
    theirs.log_in("old-token").await?;
    let sealed = theirs.seal("new-token")?;
    let preload = format!("{SESSION}:tokens.{RESOURCE}={sealed}");
    let verifier = theirs.verifier.to_string();
    let options = [
        "--client-id",
        "1",
        "--preload",
        &preload,
        "--preload",
        &format!("{SESSION}:session.status=active"),
    ];
    let mut next = PeerServer::start(&verifier, &options).await?;
    theirs.relay.sockets_to(&next.url)?;
    theirs
        .peer
        .done(&json!({ "cmd": "close-socket", "doc": SESSION, "code": 4205, "reason": "" }))
        .await?;
    proven(&mut next).await?;
    theirs.until_token("new-token").await
}

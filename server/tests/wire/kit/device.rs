//! A device: the protocol's own state machine over a real socket, and a raw socket for what no device would send.

use std::collections::BTreeMap;
use std::time::Instant;

use device_proto::ask::{Ask, Reply};
use device_proto::device::{Event, Over, Transmit};
use device_proto::frame::{
    self, Auth, EMPTY_AWARENESS, EMPTY_STATE_VECTOR, Frame, Message, Packet, Sender, Sync,
};
use device_proto::seal::{Key, Purpose, Sealed};
use device_proto::{Challenge, Device, RequestId};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message as WsMessage};

use crate::kit::browser::http;
use crate::kit::in_time;
use crate::kit::server::Server;

/// The resource of every login here.
pub(crate) const RESOURCE: &str = "urn:d:unified-gateway";

/// A session as its device knows it.
pub(crate) struct Session {
    pub(crate) secret: [u8; 32],
    pub(crate) id: RequestId,
    /// What the server answered.
    pub(crate) begun: Value,
}

impl Session {
    /// Begins a session (D-002).
    pub(crate) async fn begin(server: &Server) -> Self {
        Self::begin_for(server, RESOURCE).await
    }

    /// Begins a session whose first token is for this resource.
    pub(crate) async fn begin_for(server: &Server, resource: &str) -> Self {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).unwrap();
        let verifier = Challenge::new(&secret).verifier().to_string();
        let body = json!({ "verifier": verifier, "deviceName": "laptop", "resource": resource });
        let url = format!("{}/auth/par/authorize", server.url);
        let response = http().post(url).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Self::of(secret, response.json().await.unwrap())
    }

    pub(crate) fn of(secret: [u8; 32], begun: Value) -> Self {
        let id = begun["requestId"].as_str().unwrap().parse().unwrap();
        Self { secret, id, begun }
    }

    pub(crate) fn url(&self) -> &str {
        self.begun["url"].as_str().unwrap()
    }

    pub(crate) fn challenge(&self) -> Challenge<'_> {
        Challenge::new(&self.secret)
    }

    pub(crate) fn challenge_text(&self) -> String {
        self.challenge().expose().to_string()
    }

    /// Opens a sealed token; returns the plaintext.
    pub(crate) fn open(&self, sealed: &str) -> Vec<u8> {
        self.open_for(RESOURCE, sealed)
    }

    /// Opens the sealed token of another resource.
    pub(crate) fn open_for(&self, resource: &str, sealed: &str) -> Vec<u8> {
        let sealed = Sealed::try_from(sealed.to_owned()).unwrap();
        let mut buffer = vec![0; sealed.plaintext_len()];
        let key = Key::of_challenge(self.challenge(), &self.id, Purpose::Token);
        key.open(resource, &sealed, &mut buffer).unwrap().to_vec()
    }

    /// Returns the proof and the question for the doc, as a device sends them.
    pub(crate) fn handshake(&self) -> [Vec<u8>; 2] {
        handshake(self.id.as_str(), &self.challenge_text())
    }
}

/// Returns the frames a device begins with.
pub(crate) fn handshake(document: &str, token: &str) -> [Vec<u8>; 2] {
    [
        frame::auth(document, token, "ciba/test").to_vec(),
        framed(document, Message::Sync(Sync::Step1(EMPTY_STATE_VECTOR))),
    ]
}

pub(crate) fn framed(document: &str, message: Message<'_>) -> Vec<u8> {
    Frame { document, message }.encode()
}

/// What a socket hears.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Frame(Vec<u8>),
    /// A close frame, and its code.
    Closed(u16),
    /// The end without a close frame.
    Gone,
}

/// A WebSocket to `/sync/device`.
pub(crate) struct Raw(WebSocketStream<TcpStream>);

impl Raw {
    pub(crate) async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(&server.address).await.unwrap();
        let url = format!("ws://{}/sync/device", server.address);
        Self(tokio_tungstenite::client_async(url, stream).await.unwrap().0)
    }

    pub(crate) async fn send(&mut self, frame: impl Into<Vec<u8>>) {
        self.send_message(WsMessage::binary(frame.into())).await;
    }

    pub(crate) async fn send_all(&mut self, frames: impl IntoIterator<Item = Vec<u8>>) {
        for frame in frames {
            self.send(frame).await;
        }
    }

    pub(crate) async fn send_message(&mut self, message: WsMessage) {
        // A server that closed meanwhile says so to whoever reads.
        let _ = self.0.send(message).await;
    }

    /// Waits for the next thing that is no ping.
    pub(crate) async fn hear(&mut self) -> Heard {
        in_time(self.hear_ever()).await
    }

    async fn hear_ever(&mut self) -> Heard {
        loop {
            return match self.0.next().await {
                Some(Ok(WsMessage::Binary(bytes))) => Heard::Frame(bytes.to_vec()),
                Some(Ok(WsMessage::Close(frame))) => {
                    // The answer to a close is written while one reads on.
                    let _ = self.0.next().await;
                    Heard::Closed(frame.map_or(1005, |frame| frame.code.into()))
                }
                Some(Ok(_)) => continue,
                Some(Err(tungstenite::Error::ConnectionClosed)) | Some(Err(_)) | None => Heard::Gone,
            };
        }
    }

    /// Waits for the next frame and returns what it says.
    pub(crate) async fn frame(&mut self) -> Vec<u8> {
        match self.hear().await {
            Heard::Frame(frame) => frame,
            other => panic!("{other:?} instead of a frame"),
        }
    }

    /// Skips frames until the socket is closed; returns the code.
    pub(crate) async fn closed(&mut self) -> u16 {
        in_time(async {
            loop {
                match self.hear().await {
                    Heard::Frame(_) => {}
                    Heard::Closed(code) => return code,
                    Heard::Gone => panic!("ended without a close frame"),
                }
            }
        })
        .await
    }

    /// Closes the socket and waits until the server has done so too.
    pub(crate) async fn leave(mut self) {
        self.send_message(WsMessage::Close(None)).await;
        in_time(async { while self.0.next().await.is_some_and(|message| message.is_ok()) {} }).await;
    }

    /// Sends a device's sign of life (D-050), and waits until the server has taken it.
    pub(crate) async fn keep_alive(&mut self, document: &str) {
        self.send(framed(document, Message::Awareness(EMPTY_AWARENESS)))
            .await;
        self.send_message(WsMessage::Ping(Vec::new().into())).await;
        in_time(async { while !matches!(self.0.next().await.unwrap().unwrap(), WsMessage::Pong(_)) {} })
            .await;
    }

    /// Asks for the doc until the answer comes: proves that the server still serves this socket.
    pub(crate) async fn round_trip(&mut self, document: &str) -> Vec<u8> {
        self.send(framed(document, Message::Sync(Sync::Step1(EMPTY_STATE_VECTOR))))
            .await;
        loop {
            let frame = self.frame().await;
            if let Ok(Packet::Frame(Frame {
                message: Message::Sync(Sync::Step2(state)),
                ..
            })) = Packet::decode(&frame, Sender::Server)
            {
                let state = state.to_vec();
                assert_eq!(self.frame().await, framed(document, Message::SyncStatus(true)));
                return state;
            }
        }
    }

    /// Proves a session and takes its doc; the frames after it are the test's.
    pub(crate) async fn granted(server: &Server, session: &Session) -> Self {
        let mut raw = Self::connect(server).await;
        raw.send_all(session.handshake()).await;
        let granted = framed(
            session.id.as_str(),
            Message::Auth(Auth::Granted { scope: "readonly" }),
        );
        assert_eq!(raw.frame().await, granted);
        raw.frame().await;
        assert_eq!(
            raw.frame().await,
            framed(session.id.as_str(), Message::SyncStatus(true))
        );
        raw
    }
}

/// A device that is connected as `cibad` would be.
pub(crate) struct Link {
    raw: Raw,
    device: Device,
    secret: [u8; 32],
    /// The session's own entries.
    pub(crate) session: BTreeMap<String, String>,
    /// Resource → sealed token.
    pub(crate) tokens: BTreeMap<String, String>,
    pub(crate) replies: Vec<Reply>,
    pub(crate) over: Option<Over>,
    synced: bool,
}

impl Link {
    /// Connects, proves, and waits for the doc.
    pub(crate) async fn connect(server: &Server, session: &Session) -> Self {
        let mut link = Self {
            raw: Raw::connect(server).await,
            device: Device::connect(session.id.clone(), session.challenge(), Instant::now()),
            secret: session.secret,
            session: BTreeMap::new(),
            tokens: BTreeMap::new(),
            replies: Vec::new(),
            over: None,
            synced: false,
        };
        link.until(|link| link.synced).await;
        link
    }

    /// Moves bytes until the condition holds.
    pub(crate) async fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        in_time(self.until_ever(holds)).await;
    }

    async fn until_ever(&mut self, holds: impl Fn(&Self) -> bool) {
        loop {
            self.flush().await;
            if holds(self) {
                return;
            }
            match self.raw.hear().await {
                Heard::Frame(frame) => self.device.handle_message(&frame, Challenge::new(&self.secret)),
                other => panic!("{other:?} while waiting; the session says {:?}", self.session),
            }
            while let Some(event) = self.device.poll_event() {
                self.note(event);
            }
        }
    }

    pub(crate) async fn until_status(&mut self, status: &str) {
        self.until(|link| link.session.get("status").is_some_and(|now| now == status))
            .await;
    }

    pub(crate) async fn leave(self) {
        self.raw.leave().await;
    }

    pub(crate) async fn ask(&mut self, ask: &Ask) {
        self.device.ask(ask);
        self.flush().await;
    }

    /// Takes what still comes, up to the close; returns its code.
    pub(crate) async fn closed(&mut self) -> u16 {
        in_time(self.closed_ever()).await
    }

    async fn closed_ever(&mut self) -> u16 {
        loop {
            match self.raw.hear().await {
                Heard::Frame(frame) => {
                    self.device.handle_message(&frame, Challenge::new(&self.secret));
                    while let Some(event) = self.device.poll_event() {
                        self.note(event);
                    }
                }
                Heard::Closed(code) => return code,
                Heard::Gone => panic!("ended without a close frame"),
            }
        }
    }

    async fn flush(&mut self) {
        while let Some(transmit) = self.device.poll_transmit() {
            match transmit {
                Transmit::Frame(frame) => self.raw.send(frame.to_vec()).await,
                Transmit::Ping => self.raw.send_message(WsMessage::Ping(Vec::new().into())).await,
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Synced => self.synced = true,
            Event::Sealed { resource, sealed } => {
                self.tokens.insert(resource.as_str().to_owned(), sealed);
            }
            Event::Session(view) => {
                let entries = view.entries().into_iter();
                self.session = entries.map(|(key, value)| (key.to_owned(), value)).collect();
            }
            Event::Reply(reply) => self.replies.push(reply),
            Event::Over(over) => self.over = Some(over),
        }
    }
}

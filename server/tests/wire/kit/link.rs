//! A device: the protocol's own state machine over a real socket.

use std::collections::BTreeMap;
use std::time::Instant;

use device_proto::Device;
use device_proto::ask::{Ask, Reply};
use device_proto::device::{Disconnect, Event, Transmit};
use device_proto::token::Token;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use crate::kit::idp::{LIFETIME, RENEWED_LIFETIME, access_token};
use crate::kit::in_time;
use crate::kit::server::Server;
use crate::kit::session::{RESOURCE, Session, UNKNOWN};
use crate::kit::socket::{Heard, Raw};

/// Seconds that only a renewed token is valid for.
pub(crate) const LONG: u64 = (LIFETIME + RENEWED_LIFETIME) / 2;

/// Seconds that no token is valid for: a device that asks for this always causes a renewal.
pub(crate) const EVER: u64 = 10 * RENEWED_LIFETIME;

/// A device that is connected as `cibad` would be.
pub(crate) struct Link {
    raw: Raw,
    device: Device,
    of: Session,
    /// The session's own entries.
    pub(crate) session: BTreeMap<String, String>,
    /// Resource → sealed token.
    pub(crate) tokens: BTreeMap<String, String>,
    pub(crate) replies: Vec<Reply>,
    pub(crate) over: Option<Disconnect>,
    synced: bool,
}

impl Link {
    /// Connects, proves, and waits for the doc.
    pub(crate) async fn connect(server: &Server, session: &Session) -> Self {
        let mut link = Self {
            raw: Raw::connect(server).await,
            device: Device::connect(session.id.clone(), session.challenge(), Instant::now()),
            of: session.clone(),
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
                Heard::Frame(frame) => self.device.handle_message(&frame, self.of.challenge()),
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

    /// Asks for a token that is valid for so many seconds more, and waits for nothing.
    pub(crate) async fn ask_for(&mut self, id: &str, resource: &str, min_valid: Option<u64>) {
        let ask = Ask::Token {
            id: id.into(),
            resource: resource.parse().unwrap(),
            min_valid,
        };
        self.ask(&ask).await;
    }

    /// Asks for a token; returns the reply, and forgets the earlier ones.
    pub(crate) async fn asked(&mut self, resource: &str, min_valid: Option<u64>) -> Reply {
        self.replies.clear();
        self.ask_for("ask", resource, min_valid).await;
        self.until(|link| !link.replies.is_empty()).await;
        self.replies.remove(0)
    }

    /// Asks for a token, which the reply says is there.
    pub(crate) async fn gets(&mut self, resource: &str, min_valid: Option<u64>) {
        let reply = self.asked(resource, min_valid).await;
        assert_eq!(reply, ready("ask", resource));
    }

    /// Asks for a token; returns the error code of the reply.
    pub(crate) async fn refused(&mut self, resource: &str, min_valid: Option<u64>) -> String {
        match self.asked(resource, min_valid).await {
            Reply::Error { error, .. } => error,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the server has taken up all that this device has asked: the reply to one question more shows it.
    pub(crate) async fn caught_up(&mut self) {
        assert_eq!(self.refused(UNKNOWN, None).await, "invalid_target");
    }

    /// Asks for a token that only the provider has; waits until it is there.
    pub(crate) async fn renewed(&mut self, n: usize) {
        self.gets(RESOURCE, Some(EVER)).await;
        self.has(RESOURCE, n).await;
    }

    /// Waits until the device has the token of the `n`th renewal.
    pub(crate) async fn has(&mut self, resource: &str, n: usize) {
        let newest = access_token(n);
        self.until(|link| link.tokens.contains_key(resource) && link.held(resource).0 == newest)
            .await;
    }

    /// Opens the token that the device has for a resource; returns it and when it ends.
    pub(crate) fn held(&self, resource: &str) -> (String, u64) {
        let plain = self.of.open_for(resource, &self.tokens[resource]);
        let token = Token::decode(&plain).unwrap();
        assert_eq!(token.resource, resource);
        (token.access_token.into_owned(), token.expires_at)
    }

    /// Takes what still comes, up to the close; returns its code.
    pub(crate) async fn closed(&mut self) -> u16 {
        in_time(self.closed_ever()).await
    }

    async fn closed_ever(&mut self) -> u16 {
        loop {
            match self.raw.hear().await {
                Heard::Frame(frame) => {
                    self.device.handle_message(&frame, self.of.challenge());
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
                self.tokens
                    .insert(resource.as_str().to_owned(), sealed.as_str().to_owned());
            }
            Event::Session(view) => {
                let entries = view.entries().into_iter();
                self.session = entries.map(|(key, value)| (key.to_owned(), value)).collect();
            }
            Event::Reply(reply) => self.replies.push(reply),
            Event::Disconnected(over) => self.over = Some(over),
            // No client asks for a decision here.
            Event::Approval { .. } | Event::ApprovalGone { .. } => {}
        }
    }
}

/// Returns the reply that says a token is there.
pub(crate) fn ready(id: &str, resource: &str) -> Reply {
    Reply::TokenReady {
        id: id.into(),
        resource: resource.parse().unwrap(),
    }
}

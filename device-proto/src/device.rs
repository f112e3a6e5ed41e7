//! The device's end of one connection (step 8 of the token's way): what to send, what the server's frames mean.
//!
//! Events and the time go in, frames and events come out; nothing here waits, sleeps or draws random numbers.
//! A new connection is a new `Device`, and so a new, empty doc (D-034).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::ask::{Ask, Reply};
use crate::doc::{Entry, Map, Poisoned, Replica};
use crate::frame::{
    Auth, EMPTY_AWARENESS, EMPTY_STATE_VECTOR, EMPTY_UPDATE, Frame, Message, Packet, Sender, Sync,
};
use crate::session::View;
use crate::{ApprovalId, Challenge, RequestId, ResourceUrn, frame};

/// Bytes of a frame a server may send: a session with a thousand tokens still fits.
pub const MAX_SERVER_FRAME: usize = 4 * 1024 * 1024;

/// How long a server may take to accept the proof and send the doc. Hocuspocus itself has no such deadline.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often a sign of life goes out: less than the 30 s after which intermediaries and peers give up (D-050).
pub const KEEPALIVE: Duration = Duration::from_secs(20);

/// How late a server's own ping may be. While pings come, the device sends none: the machine wakes once for both.
const GRACE: Duration = Duration::from_secs(5);

/// Signs of life that may stay unanswered (D-050).
const MISSED: u32 = 2;

/// The client's name and version in the Auth frame.
const VERSION: &str = concat!("ciba/", env!("CARGO_PKG_VERSION"));

/// The device's end of one connection.
pub struct Device {
    session: RequestId,
    stage: Stage,
    replica: Replica,
    out: VecDeque<Transmit>,
    events: VecDeque<Event>,
    /// Until when the server must have answered.
    handshake_ends: Instant,
    next_keepalive: Instant,
    unanswered: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The proof is on its way.
    Proving,
    /// The proof was accepted, the doc is not here yet.
    Granted,
    /// The doc is here.
    Synced,
    /// Nothing more will come.
    Over,
}

/// What an update carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    Doc,
    Change,
}

/// Something to put on the wire.
pub enum Transmit {
    /// A binary message. It may hold the challenge: wiped on drop.
    Frame(Zeroizing<Vec<u8>>),
    /// A WebSocket ping.
    Ping,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server accepted the proof and sent the doc.
    Synced,
    /// A resource has a new seal.
    Sealed {
        /// The resource.
        resource: ResourceUrn,
        /// The token, sealed, if the server has written what it should: [`Sealed`](crate::seal::Sealed) tells.
        sealed: String,
    },
    /// A request waits for the person's decision, or says something else than before (D-063).
    Approval {
        /// Its name.
        request: ApprovalId,
        /// The request, sealed: [`Approval::open`](crate::Approval::open).
        sealed: String,
    },
    /// A request was decided, or its time is over.
    ApprovalGone {
        /// Its name.
        request: ApprovalId,
    },
    /// The doc says something new of the session. It follows the seals of the same update.
    Session(View),
    /// An ask was answered.
    Reply(Reply),
    /// This connection is over; poll no more.
    Disconnected(Disconnect),
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Disconnect {
    /// The server does not accept the proof. Final: trying again changes nothing (hocuspocus.md §16).
    #[error("the server does not know this session")]
    Denied,
    /// The server closed the document. To be treated as a lost connection.
    #[error("the server closed the document")]
    Closed,
    /// Nothing was heard for too long.
    #[error("the server is silent")]
    Silent,
    /// The server sent what no server should.
    #[error("the server sent a broken frame")]
    Broken,
    /// The server sent an update that was refused.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

impl Device {
    /// Begins a connection: the proof, then the question for the doc, in one write (hocuspocus.md §16).
    pub fn connect(session: RequestId, challenge: Challenge<'_>, now: Instant) -> Self {
        let mut device = Self {
            session,
            stage: Stage::Proving,
            replica: Replica::default(),
            out: VecDeque::new(),
            events: VecDeque::new(),
            handshake_ends: now + HANDSHAKE,
            next_keepalive: now + KEEPALIVE,
            unanswered: 0,
        };
        device.prove(challenge);
        device.send(Message::Sync(Sync::Step1(EMPTY_STATE_VECTOR)));
        device
    }

    /// Returns the next thing to put on the wire.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    /// Returns the next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Returns when [`Device::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Over => None,
            Stage::Synced => Some(self.next_keepalive),
            Stage::Proving | Stage::Granted => Some(self.handshake_ends.min(self.next_keepalive)),
        }
    }

    /// Does what is due at `now`: a sign of life, or the end of a silent connection.
    pub fn handle_timeout(&mut self, now: Instant) {
        let waited_in_vain = self.stage != Stage::Synced && now >= self.handshake_ends;
        if self.stage == Stage::Over || now < self.next_keepalive && !waited_in_vain {
            return;
        }
        if waited_in_vain || self.unanswered >= MISSED {
            self.disconnect(Disconnect::Silent);
            return;
        }
        self.unanswered += 1;
        self.next_keepalive = now + KEEPALIVE;
        self.out.push_back(Transmit::Ping);
        // Some servers count only messages as signs of life (hocuspocus.md §10).
        self.send(Message::Awareness(EMPTY_AWARENESS));
    }

    /// The server sent a WebSocket ping, which the WebSocket answers: that is a sign of life from both.
    pub fn handle_ping(&mut self, now: Instant) {
        self.unanswered = 0;
        self.next_keepalive = now + KEEPALIVE + GRACE;
    }

    /// The server was heard in another way that carries no frame: a WebSocket pong.
    pub fn handle_sign_of_life(&mut self) {
        self.unanswered = 0;
    }

    /// A binary message came. The challenge is needed when the server asks for the proof again.
    pub fn handle_message(&mut self, message: &[u8], challenge: Challenge<'_>) {
        self.unanswered = 0;
        if self.stage == Stage::Over {
            return;
        }
        match Packet::decode(message, Sender::Server) {
            Ok(Packet::Ping) => self.out.push_back(Transmit::Frame(Zeroizing::new(vec![10]))),
            Ok(Packet::Frame(frame)) if frame.document == self.session.as_str() => {
                self.handle_frame(frame.message, challenge);
            }
            Ok(_) => {}
            Err(_) => self.disconnect(Disconnect::Broken),
        }
    }

    /// Asks the server for something; the answer is an [`Event::Reply`] with the same id.
    pub fn ask(&mut self, ask: &Ask) {
        self.send(Message::Stateless(&ask.encode()));
    }

    fn handle_frame(&mut self, message: Message<'_>, challenge: Challenge<'_>) {
        match message {
            Message::Auth(Auth::Granted { .. }) if self.stage == Stage::Proving => {
                self.stage = Stage::Granted;
            }
            // Also after a grant: the server may fail to load the document (hocuspocus.md §4).
            Message::Auth(Auth::Denied { .. }) => self.disconnect(Disconnect::Denied),
            Message::Auth(Auth::Wanted) => self.prove(challenge),
            Message::Close(_) => self.disconnect(Disconnect::Closed),
            // Before the grant nothing is believed.
            _ if self.stage == Stage::Proving => {}
            Message::Sync(Sync::Step1(_)) => self.send(Message::Sync(Sync::Step2(EMPTY_UPDATE))),
            Message::Sync(Sync::Step2(update)) => self.apply(update, Carries::Doc),
            // Before the doc: it will hold this change as well, and the change alone would build on nothing.
            Message::Sync(Sync::Update(_)) if self.stage == Stage::Granted => {}
            Message::Sync(Sync::Update(update)) => self.apply(update, Carries::Change),
            Message::Stateless(text) => self.events.extend(Reply::decode(text).ok().map(Event::Reply)),
            _ => {}
        }
    }

    fn apply(&mut self, update: &[u8], carries: Carries) {
        let changed = match self.replica.apply(update) {
            Ok(changed) => changed,
            Err(poisoned) => return self.disconnect(poisoned.into()),
        };
        let is_session_new = changed.iter().any(|entry| entry.map == Map::Session);
        self.events.extend(changed.into_iter().filter_map(event));
        if carries == Carries::Doc && self.stage == Stage::Granted {
            self.stage = Stage::Synced;
            self.events.push_back(Event::Synced);
        }
        if is_session_new {
            let view = View::read(|key| self.replica.read(Map::Session, key));
            self.events.push_back(Event::Session(view));
        }
    }

    fn prove(&mut self, challenge: Challenge<'_>) {
        let frame = frame::auth(self.session.as_str(), &challenge.expose(), VERSION);
        self.out.push_back(Transmit::Frame(frame));
    }

    fn send(&mut self, message: Message<'_>) {
        let frame = Frame {
            document: self.session.as_str(),
            message,
        }
        .encode();
        self.out.push_back(Transmit::Frame(Zeroizing::new(frame)));
    }

    fn disconnect(&mut self, why: Disconnect) {
        self.stage = Stage::Over;
        self.out.clear();
        self.events.push_back(Event::Disconnected(why));
    }
}

/// Returns the event for a new or lost seal. A key of another form names nothing that a device could ask for. A token that is
/// gone from the doc is good until it ends.
fn event(Entry { map, key, value }: Entry) -> Option<Event> {
    match (map, value) {
        (Map::Tokens, Some(sealed)) => Some(Event::Sealed {
            resource: key.parse().ok()?,
            sealed,
        }),
        (Map::Approvals, Some(sealed)) => Some(Event::Approval {
            request: key.parse().ok()?,
            sealed,
        }),
        (Map::Approvals, None) => Some(Event::ApprovalGone {
            request: key.parse().ok()?,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc::{Change, Doc};
    use crate::session::Status;

    const SECRET: [u8; 32] = [3; 32];

    fn challenge() -> Challenge<'static> {
        Challenge::new(&SECRET)
    }

    fn connected(now: Instant) -> Device {
        let mut device = Device::connect("s".parse().unwrap(), challenge(), now);
        while device.poll_transmit().is_some() {}
        device
    }

    fn receive(device: &mut Device, message: Message<'_>) {
        device.handle_message(
            &Frame {
                document: "s",
                message,
            }
            .encode(),
            challenge(),
        );
    }

    fn granted(now: Instant) -> Device {
        let mut device = connected(now);
        receive(&mut device, Message::Auth(Auth::Granted { scope: "readonly" }));
        device
    }

    fn frames(device: &mut Device) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| device.poll_transmit())
            .filter_map(|t| {
                if let Transmit::Frame(bytes) = t {
                    Some(bytes.to_vec())
                } else {
                    None
                }
            })
            .collect()
    }

    #[test]
    fn d_010_the_proof_goes_first_and_the_question_follows() {
        let mut device = Device::connect("s".parse().unwrap(), challenge(), Instant::now());
        let sent = frames(&mut device);
        let Ok(Packet::Frame(Frame {
            message: Message::Auth(Auth::Token { token, version }),
            ..
        })) = Packet::decode(&sent[0], Sender::Device)
        else {
            panic!("no Auth first")
        };
        assert_eq!(
            (token.expose(), version),
            (challenge().expose().as_str(), Some(VERSION))
        );
        assert_eq!(sent[1], b"\x01s\x00\x00\x01\x00");
        assert_eq!(sent.len(), 2);
    }

    #[test]
    fn nothing_is_believed_before_the_yes() {
        let mut device = connected(Instant::now());
        let mut doc = Doc::new(5);
        doc.write(&[Change {
            map: Map::Tokens,
            key: "urn:d:x",
            value: "planted",
        }]);
        receive(&mut device, Message::Sync(Sync::Step2(doc.state())));
        receive(
            &mut device,
            Message::Stateless(r#"{"type":"session.ended","id":"1"}"#),
        );
        assert_eq!(device.poll_event(), None);
    }

    #[test]
    fn a_seal_in_the_doc_becomes_an_event() {
        let mut device = granted(Instant::now());
        let mut doc = Doc::new(5);
        doc.write(&[
            Change {
                map: Map::Tokens,
                key: "urn:d:x",
                value: "sealed",
            },
            Change {
                map: Map::Server,
                key: "challenge",
                value: "y",
            },
        ]);
        receive(&mut device, Message::Sync(Sync::Step2(doc.state())));
        let sealed = Event::Sealed {
            resource: "urn:d:x".parse().unwrap(),
            sealed: "sealed".into(),
        };
        assert_eq!(device.poll_event(), Some(sealed));
        assert_eq!(device.poll_event(), Some(Event::Synced));
        assert_eq!(device.poll_event(), None);
    }

    #[test]
    fn d_063_a_request_comes_and_goes_with_its_entry() {
        let mut device = granted(Instant::now());
        let mut doc = Doc::new(5);
        let request = ApprovalId::of_hash(&[7; 32]);
        let shown = [(request.as_str(), "sealed"), ("no hash", "x")].map(|(key, value)| Change {
            map: Map::Approvals,
            key,
            value,
        });
        doc.write(&shown);
        receive(&mut device, Message::Sync(Sync::Step2(doc.state())));
        let arrived = Event::Approval {
            request: request.clone(),
            sealed: "sealed".into(),
        };
        assert_eq!(device.poll_event(), Some(arrived.clone()));
        assert_eq!(device.poll_event(), Some(Event::Synced));
        let withdrawn = doc.write_all_of(Map::Approvals, &[]);
        receive(&mut device, Message::Sync(Sync::Update(&withdrawn)));
        assert_eq!(
            device.poll_event(),
            Some(Event::ApprovalGone {
                request: request.clone()
            })
        );
        let again = doc.write(&shown);
        receive(&mut device, Message::Sync(Sync::Update(&again)));
        assert_eq!(device.poll_event(), Some(arrived), "as it was before");
        assert_eq!(device.poll_event(), None);
    }

    #[test]
    fn d_023_an_updates_session_entries_are_one_event_behind_its_seals() {
        let mut device = granted(Instant::now());
        let mut doc = Doc::new(5);
        let session = |key, value| Change {
            map: Map::Session,
            key,
            value,
        };
        doc.write(&[
            session("status", "active"),
            session("subject", "Ada"),
            Change {
                map: Map::Tokens,
                key: "urn:d:x",
                value: "sealed",
            },
        ]);
        receive(&mut device, Message::Sync(Sync::Step2(doc.state())));
        assert!(matches!(device.poll_event(), Some(Event::Sealed { .. })));
        assert_eq!(device.poll_event(), Some(Event::Synced));
        let mut view = View {
            status: Status::Active,
            subject: Some("Ada".into()),
            expires_at: None,
        };
        assert_eq!(device.poll_event(), Some(Event::Session(view.clone())));

        let failing = doc.write(&[
            session("error_description", "Ask Bob."),
            session("status", "failed"),
            session("error", "access_denied"),
        ]);
        receive(&mut device, Message::Sync(Sync::Update(&failing)));
        view.status = Status::Failed {
            error: "access_denied".into(),
            description: "Ask Bob.".into(),
        };
        assert_eq!(device.poll_event(), Some(Event::Session(view)));

        let token = doc.write(&[Change {
            map: Map::Tokens,
            key: "urn:d:x",
            value: "another",
        }]);
        receive(&mut device, Message::Sync(Sync::Update(&token)));
        assert!(matches!(device.poll_event(), Some(Event::Sealed { .. })));
        assert_eq!(device.poll_event(), None, "nothing new of the session");
    }

    #[test]
    fn a_no_after_a_yes_counts() {
        let mut device = granted(Instant::now());
        receive(
            &mut device,
            Message::Auth(Auth::Denied {
                reason: "permission-denied",
            }),
        );
        assert_eq!(device.poll_event(), Some(Event::Disconnected(Disconnect::Denied)));
        assert_eq!(device.poll_timeout(), None);
    }

    #[test]
    fn the_servers_questions_are_answered() {
        let mut device = granted(Instant::now());
        receive(&mut device, Message::Sync(Sync::Step1(b"\x00")));
        device.handle_message(&[9], challenge());
        receive(&mut device, Message::Auth(Auth::Wanted));
        let sent = frames(&mut device);
        assert_eq!(sent[0], b"\x01s\x00\x01\x02\x00\x00", "nothing to give");
        assert_eq!(sent[1], [10]);
        assert!(matches!(
            Packet::decode(&sent[2], Sender::Device),
            Ok(Packet::Frame(Frame {
                message: Message::Auth(Auth::Token { .. }),
                ..
            }))
        ));
    }

    #[test]
    fn a_change_that_overtakes_the_doc_is_in_the_doc() {
        let mut device = granted(Instant::now());
        let mut doc = Doc::new(5);
        let mut write = |value| {
            doc.write(&[Change {
                map: Map::Tokens,
                key: "urn:d:x",
                value,
            }])
        };
        write("one");
        receive(&mut device, Message::Sync(Sync::Update(&write("two"))));
        assert_eq!(device.poll_event(), None);
        receive(&mut device, Message::Sync(Sync::Step2(doc.state())));
        assert!(matches!(device.poll_event(), Some(Event::Sealed { sealed, .. }) if sealed == "two"));
        assert_eq!(device.poll_event(), Some(Event::Synced));
    }

    #[test]
    fn d_035_a_hostile_server_ends_the_connection_only() {
        for update in [
            &b"\xff"[..],
            &[
                vec![1, 1, 7, 0, 0x28, 1, 1, b'm', 1, b'k', 1],
                [117, 1].repeat(6_300),
                vec![126, 0],
            ]
            .concat(),
        ] {
            let mut device = granted(Instant::now());
            receive(&mut device, Message::Sync(Sync::Step2(update)));
            assert!(matches!(
                device.poll_event(),
                Some(Event::Disconnected(Disconnect::Poisoned(_)))
            ));
        }
    }

    #[test]
    fn d_050_two_missed_signs_of_life_end_it() {
        let start = Instant::now();
        let mut device = granted(start);
        receive(&mut device, Message::Sync(Sync::Step2(EMPTY_UPDATE)));
        assert_eq!(device.poll_event(), Some(Event::Synced));
        for missed in 1..=MISSED {
            let due = device.poll_timeout().unwrap();
            assert_eq!(due, start + KEEPALIVE * missed);
            device.handle_timeout(due);
            assert!(matches!(device.poll_transmit(), Some(Transmit::Ping)));
            assert_eq!(frames(&mut device), [b"\x01s\x01\x01\x00"]);
        }
        device.handle_timeout(device.poll_timeout().unwrap());
        assert_eq!(device.poll_event(), Some(Event::Disconnected(Disconnect::Silent)));

        let mut device = granted(start);
        receive(&mut device, Message::Sync(Sync::Step2(EMPTY_UPDATE)));
        for _ in 0..100 {
            device.handle_timeout(device.poll_timeout().unwrap());
            device.handle_sign_of_life();
        }
        assert!(
            device.poll_timeout().is_some(),
            "a server that answers keeps it alive"
        );
    }

    #[test]
    fn d_050_while_the_server_pings_nothing_more_goes_out() {
        let start = Instant::now();
        let mut device = granted(start);
        receive(&mut device, Message::Sync(Sync::Step2(EMPTY_UPDATE)));
        assert!(frames(&mut device).is_empty());
        for n in 1..=100 {
            let now = start + KEEPALIVE * n;
            device.handle_ping(now);
            device.handle_timeout(now + KEEPALIVE);
            assert!(device.poll_transmit().is_none(), "at {n}");
        }
        let silent = device.poll_timeout().unwrap();
        assert_eq!(silent, start + KEEPALIVE * 101 + GRACE);
        device.handle_timeout(silent);
        assert!(matches!(device.poll_transmit(), Some(Transmit::Ping)));
    }

    #[test]
    fn a_server_that_never_answers_the_handshake_is_left() {
        let start = Instant::now();
        let mut device = connected(start);
        assert_eq!(device.poll_timeout(), Some(start + HANDSHAKE));
        device.handle_timeout(start + HANDSHAKE);
        assert_eq!(device.poll_event(), Some(Event::Disconnected(Disconnect::Silent)));
    }

    #[test]
    fn frames_for_other_documents_are_not_ours() {
        let mut device = granted(Instant::now());
        device.handle_message(
            &Frame {
                document: "other",
                message: Message::Close(Some("x")),
            }
            .encode(),
            challenge(),
        );
        assert_eq!(device.poll_event(), None);
        device.handle_message(b"\x09x", challenge());
        assert_eq!(device.poll_event(), Some(Event::Disconnected(Disconnect::Broken)));
    }
}

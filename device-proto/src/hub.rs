//! The server's end of one WebSocket (step 5 of the token's way): which documents it carries, what each frame
//! of a device means, what it may cost.
//!
//! Pure decisions: the caller looks up sessions, holds the docs and moves the bytes. A device only reads
//! (D-013), so nothing it writes is ever decoded, not even its state vector: it is always given the whole
//! state, and Yjs ignores what it has.

use std::time::{Duration, Instant};

use crate::frame::{
    Auth, EMPTY_AWARENESS, EMPTY_UPDATE, Frame, Malformed, Message, Packet, Proof, Sender, Sync,
};

/// Bytes of a message from a device (D-014).
pub const MAX_DEVICE_FRAME: usize = 64 * 1024;

/// Documents on one socket (D-014).
pub const MAX_DOCUMENTS: usize = 8;

/// Bytes of a document's name on a socket: the longest [session](crate::RequestId::MAX_LEN), a zero, and as much for
/// the key that a provider puts behind it. Names are kept from before the proof on.
pub const MAX_NAME: usize = 512;

/// Sockets on one document (D-014).
pub const MAX_SOCKETS: usize = 4;

/// Frames a socket may send for documents that are not open (hocuspocus.md §15).
pub const MAX_EARLY_FRAMES: u8 = 64;

/// Wrong proofs on one socket (hocuspocus.md §15).
pub const MAX_DENIALS: u8 = 3;

/// How long a socket may stay without an open document.
pub const PROVE_WITHIN: Duration = Duration::from_secs(60);

/// How long a socket may be silent; any message counts, control frames too.
pub const IDLE: Duration = Duration::from_secs(75);

/// How often a sign of life goes out: real providers leave after 30 s without a message (hocuspocus.md §10).
pub const KEEPALIVE: Duration = Duration::from_secs(20);

/// The reason in every denial: one word for an unknown session and for a wrong proof (D-011).
pub const DENIED: &str = "permission-denied";

/// A WebSocket close: the code and the reason that go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// The close code (hocuspocus.md §13).
    pub code: u16,
    /// The reason phrase.
    pub reason: &'static str,
}

impl Close {
    /// The session ended (D-044).
    pub const ENDED: Self = Self {
        code: 1000,
        reason: "session ended",
    };
    /// The server is going away; come back.
    pub const GOING_AWAY: Self = Self {
        code: 1001,
        reason: "going away",
    };
    /// A message over [`MAX_DEVICE_FRAME`].
    pub const TOO_BIG: Self = Self {
        code: 1009,
        reason: "",
    };
    /// A limit was passed or a frame makes no sense.
    pub const RESET: Self = Self {
        code: 4205,
        reason: "Reset Connection",
    };
    /// No document name, or too many wrong proofs.
    pub const UNAUTHORIZED: Self = Self {
        code: 4401,
        reason: "Unauthorized",
    };
    /// Silent, or without a proof, for too long.
    pub const TIMEOUT: Self = Self {
        code: 4408,
        reason: "Connection Timeout",
    };
}

/// What a device's message asks of the caller.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// Nothing.
    Nothing,
    /// Send this.
    Reply(Vec<u8>),
    /// Check the proof, then call [`Socket::grant`] or [`Socket::deny`].
    Prove {
        /// The document's name on this socket.
        document: &'a str,
        /// The session it belongs to.
        session: &'a str,
        /// The proof.
        token: Proof<'a>,
    },
    /// Send what [`Socket::answer_with`] makes of the doc's state.
    Read {
        /// The document's name on this socket.
        document: &'a str,
    },
    /// A stateless message for the application.
    Ask {
        /// The document's name on this socket.
        document: &'a str,
        /// What it says.
        text: &'a str,
    },
    /// Send this; the socket has left the document.
    Left {
        /// The document's name on this socket.
        document: &'a str,
        /// The last frame about it.
        reply: Vec<u8>,
    },
}

/// The server's end of one WebSocket.
pub struct Socket {
    documents: Vec<Document>,
    opened: Instant,
    heard: Instant,
    next_keepalive: Instant,
    early_frames: u8,
    denials: u8,
}

struct Document {
    name: Box<str>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Named, not proven. Of what came early only one thing matters: whether the doc was asked for.
    Early { asked: bool },
    /// Proven.
    Open,
}

impl Socket {
    /// A WebSocket was opened.
    pub fn new(now: Instant) -> Self {
        Self {
            documents: Vec::new(),
            opened: now,
            heard: now,
            next_keepalive: now + KEEPALIVE,
            early_frames: 0,
            denials: 0,
        }
    }

    /// Decides about one binary message.
    ///
    /// # Errors
    ///
    /// How to close the socket.
    pub fn receive<'a>(&mut self, now: Instant, message: &'a [u8]) -> Result<Decision<'a>, Close> {
        self.heard = now;
        match Packet::decode(message, Sender::Device) {
            Ok(Packet::Ping | Packet::Pong) => Ok(Decision::Nothing),
            Ok(Packet::Frame(frame)) => self.receive_frame(frame),
            Err(Malformed::Name) => Err(Close::UNAUTHORIZED),
            Err(Malformed::Head) => Err(Close::RESET),
            Err(Malformed::Payload { document }) if self.is_open(document) => Ok(self.reset(document)),
            Err(Malformed::Payload { .. }) => self.count_early().map(|()| Decision::Nothing),
        }
    }

    /// Something without a frame was heard: a WebSocket ping or pong.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    fn receive_frame<'a>(&mut self, frame: Frame<'a>) -> Result<Decision<'a>, Close> {
        let document = frame.document;
        match frame.message {
            Message::Auth(Auth::Token { token, .. }) => {
                self.entry(document)?;
                let session = document.split('\0').next().unwrap_or_default();
                Ok(Decision::Prove {
                    document,
                    session,
                    token,
                })
            }
            // A Close for a document that is not open would end the next session on it (hocuspocus.md §9).
            Message::Close(_) if !self.is_open(document) => Ok(Decision::Nothing),
            message if self.is_open(document) => Ok(self.receive_open(document, message)),
            message => {
                self.count_early()?;
                if let Message::Sync(Sync::Step1(_)) = message {
                    self.entry(document)?.stage = Stage::Early { asked: true };
                }
                Ok(Decision::Nothing)
            }
        }
    }

    fn receive_open<'a>(&mut self, document: &'a str, message: Message<'a>) -> Decision<'a> {
        match message {
            Message::Sync(sync) | Message::SyncReply(sync) => match sync {
                Sync::Step1(_) => Decision::Read { document },
                Sync::Step2(update) => status(document, update == EMPTY_UPDATE),
                Sync::Update(_) => status(document, false),
            },
            Message::Stateless(text) => Decision::Ask { document, text },
            Message::BroadcastStateless(_) => self.reset(document),
            Message::Close(_) => self.leave(document, "provider_initiated"),
            _ => Decision::Nothing,
        }
    }

    /// The proof holds. Returns what to send; `state` is the doc's, as an update.
    pub fn grant(&mut self, document: &str, state: &[u8]) -> Vec<Vec<u8>> {
        let Some(entry) = self.documents.iter_mut().find(|d| &*d.name == document) else {
            return Vec::new();
        };
        match std::mem::replace(&mut entry.stage, Stage::Open) {
            // Proven again: nothing is said (hocuspocus.md §4).
            Stage::Open => Vec::new(),
            Stage::Early { asked } => {
                let yes = encode(document, Message::Auth(Auth::Granted { scope: "readonly" }));
                let answer = if asked {
                    Self::answer_with(document, state).into()
                } else {
                    Vec::new()
                };
                [vec![yes], answer].concat()
            }
        }
    }

    /// The proof does not hold, or there is no such session. Returns what to send.
    ///
    /// # Errors
    ///
    /// How to close the socket, after [`MAX_DENIALS`].
    pub fn deny(&mut self, document: &str) -> Result<Vec<u8>, Close> {
        let was_open = self.is_open(document);
        self.documents.retain(|d| &*d.name != document);
        self.denials += 1;
        if self.denials >= MAX_DENIALS {
            return Err(Close::UNAUTHORIZED);
        }
        let denial = Message::Auth(Auth::Denied { reason: DENIED });
        Ok(encode(
            document,
            if was_open {
                Message::Close(Some(DENIED))
            } else {
                denial
            },
        ))
    }

    /// Returns the frames that answer a SyncStep1: the whole state, and "nothing of yours is missing here".
    pub fn answer_with(document: &str, state: &[u8]) -> [Vec<u8>; 2] {
        [
            encode(document, Message::Sync(Sync::Step2(state))),
            encode(document, Message::SyncStatus(true)),
        ]
    }

    /// Returns the frame that carries a change of the doc.
    pub fn update(document: &str, update: &[u8]) -> Vec<u8> {
        encode(document, Message::Sync(Sync::Update(update)))
    }

    /// Returns the frame that carries a stateless message.
    pub fn stateless(document: &str, text: &str) -> Vec<u8> {
        encode(document, Message::Stateless(text))
    }

    /// Takes a document off the socket. Returns its last frame: real providers notice nothing else
    /// (hocuspocus.md §15).
    pub fn close(&mut self, document: &str, reason: &str) -> Vec<u8> {
        self.documents.retain(|d| &*d.name != document);
        encode(document, Message::Close(Some(reason)))
    }

    /// Returns when [`Socket::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Instant {
        let ends = if self.has_open() {
            self.heard + IDLE
        } else {
            self.opened + PROVE_WITHIN
        };
        ends.min(self.next_keepalive)
    }

    /// Does what is due at `now`. Returns the signs of life to send; send a WebSocket ping beside them.
    ///
    /// # Errors
    ///
    /// How to close the socket.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<Vec<Vec<u8>>, Close> {
        let unproven = !self.has_open() && now >= self.opened + PROVE_WITHIN;
        if unproven || now >= self.heard + IDLE {
            return Err(Close::TIMEOUT);
        }
        if now < self.next_keepalive {
            return Ok(Vec::new());
        }
        self.next_keepalive = now + KEEPALIVE;
        let open = self.documents.iter().filter(|d| d.stage == Stage::Open);
        Ok(open
            .map(|d| encode(&d.name, Message::Awareness(EMPTY_AWARENESS)))
            .collect())
    }

    /// Counts a frame for a document that is not open.
    fn count_early(&mut self) -> Result<(), Close> {
        self.early_frames += 1;
        if self.early_frames < MAX_EARLY_FRAMES {
            Ok(())
        } else {
            Err(Close::RESET)
        }
    }

    /// Returns the document's entry, new if it is not known yet.
    fn entry(&mut self, document: &str) -> Result<&mut Document, Close> {
        let known = self.documents.iter().position(|d| &*d.name == document);
        let at = match known {
            Some(at) => at,
            None if self.documents.len() >= MAX_DOCUMENTS || document.len() > MAX_NAME => {
                return Err(Close::RESET);
            }
            None => {
                self.documents.push(Document {
                    name: document.into(),
                    stage: Stage::Early { asked: false },
                });
                self.documents.len() - 1
            }
        };
        Ok(&mut self.documents[at])
    }

    fn is_open(&self, document: &str) -> bool {
        self.documents
            .iter()
            .any(|d| d.stage == Stage::Open && &*d.name == document)
    }

    fn has_open(&self) -> bool {
        self.documents.iter().any(|d| d.stage == Stage::Open)
    }

    fn reset<'a>(&mut self, document: &'a str) -> Decision<'a> {
        self.leave(document, Close::RESET.reason)
    }

    fn leave<'a>(&mut self, document: &'a str, reason: &str) -> Decision<'a> {
        Decision::Left {
            document,
            reply: self.close(document, reason),
        }
    }
}

fn status(document: &str, applied: bool) -> Decision<'_> {
    Decision::Reply(encode(document, Message::SyncStatus(applied)))
}

fn encode(document: &str, message: Message<'_>) -> Vec<u8> {
    Frame { document, message }.encode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;

    fn message<'a>(document: &'a str, message: Message<'a>) -> Vec<u8> {
        encode(document, message)
    }

    fn open(document: &str) -> Socket {
        let now = Instant::now();
        let mut socket = Socket::new(now);
        let auth = frame::auth(document, "token", "4.8.0");
        assert!(matches!(socket.receive(now, &auth), Ok(Decision::Prove { .. })));
        assert_eq!(socket.grant(document, b"\0\0").len(), 1);
        socket
    }

    fn receive(socket: &mut Socket, bytes: &[u8]) -> Result<String, Close> {
        socket.receive(Instant::now(), bytes).map(|d| format!("{d:?}"))
    }

    #[test]
    fn d_010_a_session_key_behind_the_name_belongs_to_the_same_session() {
        let now = Instant::now();
        let mut socket = Socket::new(now);
        let auth = frame::auth("req\0key", "t", "4.8.0");
        let decision = socket.receive(now, &auth).unwrap();
        assert_eq!(
            decision,
            Decision::Prove {
                document: "req\0key",
                session: "req",
                token: "t".into()
            }
        );
        let yes = socket.grant("req\0key", b"\0\0");
        assert_eq!(
            yes,
            [b"\x07req\0key\x02\x02\x08readonly"],
            "answered under the name as received"
        );
    }

    #[test]
    fn d_013_what_a_device_writes_is_refused_unread() {
        let mut socket = open("d");
        let hostile = [
            vec![1, 1, 7, 0, 0x28, 1, 1, b'm', 1, b'k', 1],
            [117, 1].repeat(6_300),
        ]
        .concat();
        let mut says = |sync| {
            socket
                .receive(Instant::now(), &message("d", Message::Sync(sync)))
                .map(|d| format!("{d:?}"))
        };
        let refused = format!("{:?}", status("d", false));
        assert_eq!(says(Sync::Update(&hostile)).unwrap(), refused);
        assert_eq!(says(Sync::Step2(&hostile)).unwrap(), refused);
        assert_eq!(says(Sync::Update(b"")).unwrap(), refused);
        assert_eq!(
            says(Sync::Step2(EMPTY_UPDATE)).unwrap(),
            format!("{:?}", status("d", true))
        );
    }

    #[test]
    fn d_014_each_limit_closes_with_the_protocols_code() {
        let now = Instant::now();
        let mut socket = Socket::new(now);
        for n in 0..MAX_DOCUMENTS {
            assert!(
                socket
                    .receive(now, &frame::auth(&format!("d{n}"), "t", "4"))
                    .is_ok()
            );
        }
        assert_eq!(
            socket.receive(now, &frame::auth("one more", "t", "4")),
            Err(Close::RESET)
        );

        let mut socket = Socket::new(now);
        let early = message("d", Message::QueryAwareness);
        for _ in 1..MAX_EARLY_FRAMES {
            assert_eq!(socket.receive(now, &early), Ok(Decision::Nothing));
        }
        assert_eq!(socket.receive(now, &early), Err(Close::RESET));

        for (garbage, close) in [
            (&b""[..], Close::UNAUTHORIZED),
            (b"\xff", Close::UNAUTHORIZED),
            (b"\x01d", Close::RESET),
            (b"\x01d\x02\x00\x2b", Close::RESET),
        ] {
            assert_eq!(Socket::new(now).receive(now, garbage), Err(close), "{garbage:?}");
        }
    }

    #[test]
    fn d_014_long_names_before_the_proof_fill_no_memory() {
        let name = |length: usize| format!("req\0{}", "k".repeat(length - 4));
        let asks = |name: &str| message(name, Message::Sync(Sync::Step1(b"\0")));
        let proves = |name: &str| frame::auth(name, "t", "4").to_vec();
        for says in [&asks as &dyn Fn(&str) -> Vec<u8>, &proves] {
            let mut socket = Socket::new(Instant::now());
            assert!(receive(&mut socket, &says(&name(MAX_NAME))).is_ok());
            assert_eq!(
                receive(&mut socket, &says(&name(MAX_NAME + 1))),
                Err(Close::RESET)
            );
            let kept: usize = socket.documents.iter().map(|d| d.name.len()).sum();
            assert_eq!(kept, MAX_NAME);
        }
    }

    #[test]
    fn d_010_a_logged_decision_shows_nothing_of_the_proof() {
        let auth = frame::auth("d", "s3cret", "4");
        let shown = receive(&mut Socket::new(Instant::now()), &auth).unwrap();
        assert_eq!(shown, r#"Prove { document: "d", session: "d", token: Proof }"#);
    }

    #[test]
    fn d_014_three_wrong_proofs_close_the_socket() {
        let mut socket = Socket::new(Instant::now());
        for _ in 1..MAX_DENIALS {
            receive(&mut socket, &frame::auth("d", "wrong", "4")).unwrap();
            assert_eq!(socket.deny("d").unwrap(), b"\x01d\x02\x01\x11permission-denied");
        }
        assert_eq!(socket.deny("d"), Err(Close::UNAUTHORIZED));
    }

    #[test]
    fn a_question_before_the_proof_is_answered_after_it() {
        let mut socket = Socket::new(Instant::now());
        assert_eq!(
            receive(&mut socket, &message("d", Message::Sync(Sync::Step1(b"\0")))).unwrap(),
            "Nothing"
        );
        receive(&mut socket, &frame::auth("d", "t", "4")).unwrap();
        let sent = socket.grant("d", b"state");
        assert_eq!(sent.len(), 3);
        assert_eq!(sent[1..], Socket::answer_with("d", b"state"));
    }

    #[test]
    fn a_stray_close_does_not_end_the_next_session() {
        let mut socket = Socket::new(Instant::now());
        let close = message("d", Message::Close(None));
        for _ in 0..=MAX_EARLY_FRAMES {
            assert_eq!(receive(&mut socket, &close).unwrap(), "Nothing");
        }
        receive(&mut socket, &frame::auth("d", "t", "4")).unwrap();
        assert_eq!(socket.grant("d", b"\0\0").len(), 1);
        assert!(receive(&mut socket, &close).unwrap().starts_with("Left"));
        assert_eq!(receive(&mut socket, &close).unwrap(), "Nothing");
    }

    #[test]
    fn a_broken_payload_ends_the_document_and_not_the_socket() {
        let mut socket = open("d");
        receive(&mut socket, &frame::auth("e", "t", "4")).unwrap();
        socket.grant("e", b"\0\0");
        assert!(
            receive(&mut socket, b"\x01d\x00\x07\x00")
                .unwrap()
                .starts_with("Left")
        );
        assert!(socket.is_open("e") && !socket.is_open("d"));
    }

    #[test]
    fn proving_again_is_silent_and_failing_to_closes_the_document() {
        let mut socket = open("d");
        receive(&mut socket, &frame::auth("d", "t", "4")).unwrap();
        assert_eq!(socket.grant("d", b"\0\0"), Vec::<Vec<u8>>::new());
        assert_eq!(socket.deny("d").unwrap(), b"\x01d\x07\x11permission-denied");
        assert!(!socket.is_open("d"));
    }

    #[test]
    fn silence_and_a_missing_proof_end_the_socket() {
        let start = Instant::now();
        let mut socket = Socket::new(start);
        assert_eq!(socket.handle_timeout(start + KEEPALIVE), Ok(vec![]));
        assert_eq!(socket.handle_timeout(start + PROVE_WITHIN), Err(Close::TIMEOUT));

        let mut socket = open("d");
        let start = socket.heard;
        assert_eq!(
            socket.handle_timeout(start + KEEPALIVE),
            Ok(vec![b"\x01d\x01\x01\x00".to_vec()])
        );
        assert_eq!(socket.handle_timeout(start + IDLE), Err(Close::TIMEOUT));
        socket.heard(start + IDLE - Duration::from_secs(1));
        assert!(
            socket.handle_timeout(start + IDLE).is_ok(),
            "a pong is a sign of life"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_decided_about_in_bounded_memory(messages in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40), 0..200)) {
            let mut socket = open("d");
            for bytes in &messages {
                if socket.receive(Instant::now(), bytes).is_err() {
                    break;
                }
                proptest::prop_assert!(socket.documents.len() <= MAX_DOCUMENTS);
            }
        }
    }
}

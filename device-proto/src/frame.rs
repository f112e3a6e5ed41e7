//! Hocuspocus frames: what one WebSocket message holds, for both ends (steps 6 and 7 of the token's way).
//!
//! The v4 dialect, and what v2 and v3 providers need. Decoding only looks: what is inside an update or a
//! state vector is [`crate::update`]'s business.

use std::fmt;

use thiserror::Error;
use yrs::encoding::read::{Cursor, Read as _};
use yrs::encoding::write::Write as _;
use zeroize::Zeroizing;

/// Largest integer a JavaScript peer can hold.
pub(crate) const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// A whole WebSocket message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A message about one document.
    Frame(Frame<'a>),
    /// The single byte `09`: are you there?
    Ping,
    /// The single byte `0a`: the answer.
    Pong,
}

/// A message about one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The document's name as it stands on the wire: `NAME` or `NAME 00 SESSION`.
    pub document: &'a str,
    /// What is said about it.
    pub message: Message<'a>,
}

/// What is said about a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Type 0.
    Sync(Sync<'a>),
    /// Type 1: an awareness update, not looked into.
    Awareness(&'a [u8]),
    /// Type 2.
    Auth(Auth<'a>),
    /// Type 3.
    QueryAwareness,
    /// Type 4, used between servers; a device that sends it is answered as for [`Message::Sync`].
    SyncReply(Sync<'a>),
    /// Type 5: an opaque text; ours are [`crate::ask`].
    Stateless(&'a str),
    /// Type 6.
    BroadcastStateless(&'a str),
    /// Type 7: this document is over, the socket is not. A device gives no reason.
    Close(Option<&'a str>),
    /// Type 8: whether the last update was applied.
    SyncStatus(bool),
    /// Any other type: ignored.
    Unknown(u64),
}

/// The steps of y-protocols' sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync<'a> {
    /// Step 0: a state vector; "send me what I lack".
    Step1(&'a [u8]),
    /// Step 1: the update that answers it.
    Step2(&'a [u8]),
    /// Step 2: an update that nobody asked for.
    Update(&'a [u8]),
}

/// The two directions of type 2 number their messages separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth<'a> {
    /// Device: the token, and the provider's version from v4 on.
    Token {
        /// The proof.
        token: Proof<'a>,
        /// Text that tells v4 from older ones by its presence.
        version: Option<&'a str>,
    },
    /// Server: show your token (again).
    Wanted,
    /// Server: no.
    Denied {
        /// A word for programs.
        reason: &'a str,
    },
    /// Server: yes.
    Granted {
        /// `read-write` or `readonly`.
        scope: &'a str,
    },
}

/// The token that proves a device: its challenge, as it stands in the frame. `Debug` shows nothing of it, so that
/// no message does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Proof<'a>(&'a str);

impl<'a> Proof<'a> {
    /// Returns the secret.
    pub fn expose(self) -> &'a str {
        self.0
    }
}

impl<'a> From<&'a str> for Proof<'a> {
    fn from(token: &'a str) -> Self {
        Self(token)
    }
}

impl fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

/// Who sent a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The device (in Hocuspocus' words: a provider).
    Device,
    /// The server.
    Server,
}

/// The state vector of a peer that has nothing.
pub const EMPTY_STATE_VECTOR: &[u8] = &[0];

/// The update that changes nothing.
pub const EMPTY_UPDATE: &[u8] = &[0, 0];

/// The awareness update that says nothing; every version takes it as a sign of life (hocuspocus.md §7).
pub const EMPTY_AWARENESS: &[u8] = &[0];

/// A message that cannot be read; each kind has its own consequence (hocuspocus.md §13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed<'a> {
    /// Not even a document's name. The socket cannot be trusted.
    #[error("the frame names no document")]
    Name,
    /// A name and no readable type, or a broken Auth: nothing can be answered.
    #[error("the frame ends early")]
    Head,
    /// The document is known, what is said about it is broken.
    #[error("the frame's payload is broken")]
    Payload {
        /// The document the frame was about.
        document: &'a str,
    },
}

impl<'a> Packet<'a> {
    /// Reads one WebSocket message. Bytes behind a complete message are ignored, as every peer does.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &'a [u8], sender: Sender) -> Result<Self, Malformed<'a>> {
        match bytes {
            [9] => Ok(Self::Ping),
            [10] => Ok(Self::Pong),
            _ => Frame::decode(bytes, sender).map(Self::Frame),
        }
    }
}

impl<'a> Frame<'a> {
    fn decode(bytes: &'a [u8], sender: Sender) -> Result<Self, Malformed<'a>> {
        let mut reader = Reader::new(bytes);
        let document = reader.text().ok_or(Malformed::Name)?;
        let kind = reader.number().ok_or(Malformed::Head)?;
        let broken = if kind == 2 {
            Malformed::Head
        } else {
            Malformed::Payload { document }
        };
        let message = Message::decode(kind, &mut reader, sender).ok_or(broken)?;
        Ok(Self { document, message })
    }

    /// Returns the frame's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.document.len() + 16);
        out.write_string(self.document);
        self.message.write(&mut out);
        out
    }
}

impl<'a> Message<'a> {
    fn decode(kind: u64, reader: &mut Reader<'a>, sender: Sender) -> Option<Self> {
        Some(match kind {
            0 => Self::Sync(Sync::decode(reader)?),
            1 => Self::Awareness(reader.bytes()?),
            2 => Self::Auth(Auth::decode(reader, sender)?),
            3 => Self::QueryAwareness,
            4 => Self::SyncReply(Sync::decode(reader)?),
            5 => Self::Stateless(reader.text()?),
            6 => Self::BroadcastStateless(reader.text()?),
            7 if sender == Sender::Device => Self::Close(None),
            7 => Self::Close(Some(reader.text()?)),
            8 => Self::SyncStatus(reader.number()? == 1),
            other => Self::Unknown(other),
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Sync(sync) => sync.write(0, out),
            Self::Awareness(update) => {
                out.write_var(1u32);
                out.write_buf(update);
            }
            Self::Auth(auth) => auth.write(out),
            Self::QueryAwareness => out.write_var(3u32),
            Self::SyncReply(sync) => sync.write(4, out),
            Self::Stateless(payload) => {
                out.write_var(5u32);
                out.write_string(payload);
            }
            Self::BroadcastStateless(payload) => {
                out.write_var(6u32);
                out.write_string(payload);
            }
            Self::Close(reason) => {
                out.write_var(7u32);
                if let Some(reason) = reason {
                    out.write_string(reason);
                }
            }
            Self::SyncStatus(applied) => {
                out.write_var(8u32);
                out.write_var(u32::from(applied));
            }
            Self::Unknown(kind) => out.write_var(kind),
        }
    }
}

impl<'a> Sync<'a> {
    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        let step = reader.number()?;
        let bytes = reader.bytes()?;
        match step {
            0 => Some(Self::Step1(bytes)),
            1 => Some(Self::Step2(bytes)),
            2 => Some(Self::Update(bytes)),
            _ => None,
        }
    }

    fn write(self, kind: u32, out: &mut Vec<u8>) {
        let (step, bytes) = match self {
            Self::Step1(bytes) => (0u32, bytes),
            Self::Step2(bytes) => (1, bytes),
            Self::Update(bytes) => (2, bytes),
        };
        out.reserve(bytes.len() + 8);
        out.write_var(kind);
        out.write_var(step);
        out.write_buf(bytes);
    }
}

impl<'a> Auth<'a> {
    fn decode(reader: &mut Reader<'a>, sender: Sender) -> Option<Self> {
        match (sender, reader.number()?) {
            (Sender::Device, 0) => {
                let token = Proof(reader.text()?);
                let version = if reader.is_empty() {
                    None
                } else {
                    Some(reader.text()?)
                };
                Some(Self::Token { token, version })
            }
            (Sender::Server, 0) => Some(Self::Wanted),
            (Sender::Server, 1) => Some(Self::Denied {
                reason: reader.text()?,
            }),
            (Sender::Server, 2) => Some(Self::Granted {
                scope: reader.text()?,
            }),
            _ => None,
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        out.write_var(2u32);
        match self {
            Self::Token { token, version } => {
                out.write_var(0u32);
                out.write_string(token.expose());
                if let Some(version) = version {
                    out.write_string(version);
                }
            }
            Self::Wanted => out.write_var(0u32),
            Self::Denied { reason } => {
                out.write_var(1u32);
                out.write_string(reason);
            }
            Self::Granted { scope } => {
                out.write_var(2u32);
                out.write_string(scope);
            }
        }
    }
}

/// Returns the Auth frame, in a buffer that is wiped and never grew: it holds the secret in clear.
pub fn auth(document: &str, token: &str, version: &str) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(
        document.len() + token.len() + version.len() + 16,
    ));
    out.write_string(document);
    Auth::Token {
        token: Proof(token),
        version: Some(version),
    }
    .write(&mut out);
    out
}

/// Reads lib0's primitives off a peer's bytes. It only advances; every read may fail.
pub(crate) struct Reader<'a>(Cursor<'a>);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(Cursor::new(bytes))
    }

    /// A varUint that a JavaScript peer could have written.
    pub(crate) fn number(&mut self) -> Option<u64> {
        self.0.read_var::<u64>().ok().filter(|&n| n <= MAX_SAFE_INTEGER)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.0.read_u8().ok()
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.0.next.checked_add(count)?;
        let bytes = self.0.buf.get(self.0.next..end)?;
        self.0.next = end;
        Some(bytes)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.number()?).ok()?;
        self.take(count)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    pub(crate) fn remaining(&self) -> usize {
        self.0.buf.len() - self.0.next
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_of_broken_frame_is_told_apart() {
        let malformed = |bytes: &'static [u8]| Packet::decode(bytes, Sender::Device).unwrap_err();
        assert_eq!(malformed(b""), Malformed::Name);
        assert_eq!(malformed(b"\x09abc"), Malformed::Name);
        assert_eq!(malformed(b"\x01\xff\x00"), Malformed::Name);
        assert_eq!(malformed(b"\x01d"), Malformed::Head);
        assert_eq!(malformed(b"\x01d\x02\x00\x2b"), Malformed::Head);
        assert_eq!(
            malformed(b"\x01d\x02\x01\x00"),
            Malformed::Head,
            "a device cannot deny"
        );
        assert_eq!(
            malformed(b"\x01d\x00\x07\x00"),
            Malformed::Payload { document: "d" }
        );
        assert_eq!(
            malformed(b"\x01d\x00\x02\x05\x00"),
            Malformed::Payload { document: "d" }
        );
    }

    #[test]
    fn a_name_of_nine_bytes_is_no_ping() {
        let frame = Frame {
            document: "ninebytes",
            message: Message::QueryAwareness,
        };
        assert_eq!(
            Packet::decode(&frame.encode(), Sender::Device),
            Ok(Packet::Frame(frame))
        );
        assert_eq!(Packet::decode(&[9], Sender::Server), Ok(Packet::Ping));
        assert_eq!(Packet::decode(&[10], Sender::Device), Ok(Packet::Pong));
    }

    #[test]
    fn a_length_beyond_the_end_or_beyond_javascript_is_refused() {
        let claims = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Packet::decode(&claims, Sender::Device), Err(Malformed::Name));
        let mut reader = Reader::new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);
        assert_eq!(reader.number(), None, "2^53");
    }

    #[test]
    fn d_010_a_logged_message_shows_nothing_of_the_proof() {
        let bytes = auth("d", "s3cret", "4.8.0");
        let packet = Packet::decode(&bytes, Sender::Device).unwrap();
        let Packet::Frame(frame) = packet else {
            panic!("no frame")
        };
        let Message::Auth(auth) = frame.message else {
            panic!("no Auth")
        };
        for shown in [
            format!("{packet:?}"),
            format!("{frame:#?}"),
            format!("{:?}", frame.message),
            format!("{auth:?}"),
        ] {
            assert!(
                shown.contains("token: Proof,") && !shown.contains("s3"),
                "{shown}"
            );
        }
        assert!(matches!(auth, Auth::Token { token, .. } if token.expose() == "s3cret"));
    }

    #[test]
    fn the_auth_frame_never_outgrows_its_buffer() {
        let frame = auth(&"d".repeat(256), &"t".repeat(43), "ciba/0.1.0");
        assert!(frame.capacity() >= frame.len() && frame.capacity() == 256 + 43 + 10 + 16);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for sender in [Sender::Device, Sender::Server] {
                let _ = Packet::decode(&bytes, sender);
            }
        }

        #[test]
        fn what_is_written_is_read_back(document in "[a-z\u{0}é]{1,20}", payload in ".{0,40}", applied: bool) {
            let messages = [
                Message::Sync(Sync::Step1(payload.as_bytes())),
                Message::Sync(Sync::Step2(payload.as_bytes())),
                Message::SyncReply(Sync::Update(payload.as_bytes())),
                Message::Awareness(payload.as_bytes()),
                Message::Auth(Auth::Denied { reason: &payload }),
                Message::Auth(Auth::Granted { scope: &payload }),
                Message::Auth(Auth::Wanted),
                Message::Stateless(&payload),
                Message::BroadcastStateless(&payload),
                Message::Close(Some(&payload)),
                Message::SyncStatus(applied),
            ];
            for message in messages {
                let frame = Frame { document: &document, message };
                let bytes = frame.encode();
                prop_assert_eq!(Packet::decode(&bytes, Sender::Server), Ok(Packet::Frame(frame)));
            }
        }
    }
}

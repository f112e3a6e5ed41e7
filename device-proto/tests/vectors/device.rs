//! The recorded servers against our end: [`Device`], one for each recorded socket.

use std::time::Instant;

use device_proto::device::{Event, Transmit};
use device_proto::frame::{Auth, Frame, Message, Packet, Sender};
use device_proto::{Challenge, Device};

use crate::recording::{DOCUMENT, Step, TOKEN, scenarios, step, word};

/// Each scenario: what our device answers to the recorded server's frames, and what it tells `cibad`.
/// `|` parts sockets. The recorded key `default` is written as `urn:d:x`, which is as long: only a URN names a
/// token.
const TABLE: &[(&str, &str)] = &[
    ("awareness", "step2 synced"),
    ("client-writes", "step2 synced"),
    ("ping", "step2 synced pong"),
    ("probe-auth-twice", ""),
    ("probe-bad-utf8-name", ""),
    (
        "probe-broadcast-stateless",
        "over(the server closed the document)",
    ),
    ("probe-close-before-auth", "over(the server closed the document)"),
    ("probe-close-message", "over(the server closed the document)"),
    ("probe-empty-awareness", ""),
    ("probe-empty-frame", ""),
    ("probe-empty-name", ""),
    ("probe-garbage-update", ""),
    (
        "probe-idle-timeout",
        "step2 synced over(the server closed the document)",
    ),
    ("probe-name-only", ""),
    ("probe-name-too-long", ""),
    ("probe-other-name-after-auth", ""),
    ("probe-pong-unasked", ""),
    ("probe-query-awareness", ""),
    ("probe-sync-before-auth", "step2 synced"),
    (
        "probe-sync-between-auths",
        "over(the server does not know this session)",
    ),
    ("probe-sync-no-auth", ""),
    ("probe-sync-reply", "step2 synced"),
    ("probe-text-frame", ""),
    ("probe-too-big", ""),
    ("probe-truncated-auth", ""),
    ("probe-truncated-sync", "over(the server closed the document)"),
    ("probe-unknown-sync-step", "over(the server closed the document)"),
    ("probe-unknown-type", ""),
    ("probe-v2-v3-auth", "step2 synced"),
    ("query-awareness", "step2 synced"),
    ("read-only", "step2 synced"),
    (
        "server-closes-document",
        "step2 synced over(the server closed the document)",
    ),
    (
        "server-closes-socket",
        "step2 synced urn:d:x=v1.c2VhbGVk | step2 synced urn:d:x=v1.c2VhbGVk",
    ),
    (
        "server-restarts",
        "step2 synced urn:d:x=v1.c2VhbGVk | step2 synced urn:d:x=v1.c2VhbGVk",
    ),
    ("session-awareness", ""),
    ("silence", "step2 synced"),
    ("stateless", "step2 synced"),
    (
        "success-empty",
        "step2 synced over(the server closed the document)",
    ),
    ("success-token-present", "step2 urn:d:x=v1.c2VhbGVk synced"),
    (
        "token-pushed-later",
        "step2 synced urn:d:x=v1.c2VhbGVk urn:d:x=v1.cmVuZXdlZA",
    ),
    ("token-resync", "step2 synced proof"),
    (
        "token-resync-refused",
        "step2 synced proof over(the server closed the document)",
    ),
    ("two-documents", "step2 synced"),
    ("wrong-token", "over(the server does not know this session)"),
    (
        "wrong-token-reason",
        "over(the server does not know this session)",
    ),
    (
        "wrong-token-timeout",
        "over(the server does not know this session)",
    ),
];

#[test]
fn d_010_each_recorded_server_is_understood() {
    let scenarios = scenarios();
    assert_eq!(TABLE.len(), scenarios.len());
    for (scenario, expected) in TABLE {
        assert_eq!(joined(&scenarios[scenario]), *expected, "{scenario}");
    }
}

#[test]
fn nothing_a_recorded_server_says_counts_before_its_yes() {
    for (scenario, sockets) in scenarios() {
        for socket in sockets {
            let mut device = Connection::new();
            for message in from_server(&socket).filter(|message| !is_auth(message) && !is_close(message)) {
                device.receive(&message);
            }
            assert!(
                device.said.iter().all(|word| word == "pong"),
                "{scenario}: {:?}",
                device.said
            );
        }
    }
}

#[test]
fn a_recorded_key_that_is_no_urn_names_no_token() {
    let mut device = Connection::new();
    for socket in &scenarios()["success-token-present"] {
        for step in socket.iter().filter(|step| step.sender == Sender::Server) {
            device.receive(step.message().unwrap());
        }
    }
    assert_eq!(device.said, ["step2", "synced"]);
}

#[test]
fn d_010_our_handshake_is_the_recorded_one_but_for_the_version() {
    let device = Connection::new();
    let recorded = step("success-empty/02").message().unwrap();
    let version = device.handshake[0]
        .strip_prefix(&recorded[..recorded.len() - 6])
        .unwrap();
    assert!(version[1..].starts_with(b"ciba/"));
    assert_eq!(device.handshake[1], step("success-empty/03").message().unwrap());
}

fn joined(sockets: &[Vec<&Step>]) -> String {
    let sockets: Vec<_> = sockets
        .iter()
        .map(|socket| {
            let mut device = Connection::new();
            from_server(socket).for_each(|message| device.receive(&message));
            device.said.join(" ")
        })
        .collect();
    sockets.join(" | ")
}

fn from_server(socket: &[&Step]) -> impl Iterator<Item = Vec<u8>> {
    let server = socket.iter().filter(|step| step.sender == Sender::Server);
    server.filter_map(|step| step.message().map(with_urn))
}

/// Writes the key `default` as a URN of the same length, so that no length in the frame changes.
fn with_urn(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if let Some(at) = frame.windows(7).position(|window| window == b"default") {
        frame[at..at + 7].copy_from_slice(b"urn:d:x");
    }
    frame
}

fn message(frame: &[u8]) -> Option<Message<'_>> {
    match Packet::decode(frame, Sender::Server) {
        Ok(Packet::Frame(Frame { message, .. })) => Some(message),
        _ => None,
    }
}

fn is_auth(frame: &[u8]) -> bool {
    matches!(
        message(frame),
        Some(Message::Auth(
            Auth::Granted { .. } | Auth::Denied { .. } | Auth::Wanted
        ))
    )
}

fn is_close(frame: &[u8]) -> bool {
    matches!(message(frame), Some(Message::Close(_)))
}

/// One connection of our device, and what came out of it behind the handshake.
struct Connection {
    secret: [u8; 32],
    device: Device,
    handshake: Vec<Vec<u8>>,
    said: Vec<String>,
}

impl Connection {
    fn new() -> Self {
        let mut secret = [0; 32];
        let challenge = Challenge::decode(TOKEN, &mut secret).unwrap();
        let mut device = Device::connect(DOCUMENT.parse().unwrap(), challenge, Instant::now());
        Self {
            handshake: sent(&mut device),
            device,
            secret,
            said: Vec::new(),
        }
    }

    fn receive(&mut self, message: &[u8]) {
        self.device.handle_message(message, Challenge::new(&self.secret));
        let frames = sent(&mut self.device);
        self.said
            .extend(frames.iter().map(|frame| word(frame, Sender::Device)));
        while let Some(event) = self.device.poll_event() {
            self.said.push(told(&event));
        }
    }
}

fn sent(device: &mut Device) -> Vec<Vec<u8>> {
    let transmits = std::iter::from_fn(|| device.poll_transmit());
    transmits
        .map(|transmit| match transmit {
            Transmit::Frame(frame) => frame.to_vec(),
            Transmit::Ping => unreachable!("no time passes"),
        })
        .collect()
}

fn told(event: &Event) -> String {
    match event {
        Event::Synced => "synced".into(),
        Event::Sealed { resource, sealed } => format!("{resource}={sealed}"),
        Event::Session(view) => format!("{view:?}"),
        Event::Reply(reply) => format!("reply {}", reply.id()),
        Event::Approval { request, .. } => format!("approval({request})"),
        Event::ApprovalGone { request } => format!("approval gone({request})"),
        Event::Disconnected(why) => format!("over({why})"),
    }
}

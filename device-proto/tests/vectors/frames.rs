//! Every recorded message is read as what it is, and written again byte for byte.

use device_proto::frame::{Auth, Frame, Malformed, Message, Packet, Sender, Sync};

use crate::recording::{DOCUMENT, STEPS};

/// The messages that are no whole frame, and how much of each can be read.
///
/// The recording says the same of `probe-garbage-update/04-sync`; there the frame is whole and the update in it
/// is not, which is for the guard to see.
const BROKEN: [(&str, Malformed<'_>); 8] = [
    (
        "probe-unknown-sync-step/04-sync",
        Malformed::Payload { document: DOCUMENT },
    ),
    (
        "probe-truncated-sync/04-sync",
        Malformed::Payload { document: DOCUMENT },
    ),
    ("probe-truncated-auth/02-auth", Malformed::Head),
    ("probe-empty-frame/02-frame", Malformed::Name),
    ("probe-bad-utf8-name/02-sync", Malformed::Name),
    ("probe-name-too-long/02-frame", Malformed::Name),
    ("probe-name-only/02-frame", Malformed::Head),
    ("probe-text-frame/02-text", Malformed::Name),
];

const BROKEN_WITHIN: &str = "probe-garbage-update/04-sync";

#[test]
fn d_010_every_recorded_message_is_read_as_what_it_is() {
    let mut read = 0;
    for step in STEPS.iter().filter(|step| !is_broken(&step.name)) {
        let Some(bytes) = step.message() else { continue };
        let packet = Packet::decode(bytes, step.sender).unwrap_or_else(|e| panic!("{}: {e}", step.name));
        if step.name == BROKEN_WITHIN {
            assert_eq!(summary(packet), "Sync for \"req-7Q2m\": Update");
        } else {
            assert_eq!(summary(packet), step.summary, "{}", step.name);
        }
        read += 1;
    }
    assert_eq!(
        (STEPS.len(), read, BROKEN.len()),
        (385, 313, 8),
        "and 64 upgrades and ends"
    );
}

#[test]
fn d_010_every_whole_frame_is_written_byte_for_byte() {
    for step in STEPS.iter().filter(|step| !is_broken(&step.name)) {
        let Some(bytes) = step.message() else { continue };
        if let Ok(Packet::Frame(frame)) = Packet::decode(bytes, step.sender) {
            assert_eq!(frame.encode(), bytes, "{}", step.name);
        }
    }
}

#[test]
fn d_014_every_broken_frame_is_told_what_it_lacks() {
    for (name, kind) in BROKEN {
        let step = crate::recording::step(name);
        let refused = Packet::decode(step.message().unwrap(), step.sender);
        assert_eq!(refused, Err(kind), "{name}");
        assert!(step.summary.starts_with("not a whole frame"), "{name}");
    }
    let recorded = STEPS
        .iter()
        .filter(|step| step.summary.starts_with("not a whole frame"));
    assert_eq!(recorded.count(), BROKEN.len() + 1);
}

#[test]
fn a_frame_means_something_else_in_the_other_direction() {
    for step in &*STEPS {
        let Some(bytes) = step.message() else { continue };
        let Ok(Packet::Frame(Frame {
            message: Message::Auth(auth),
            ..
        })) = Packet::decode(bytes, step.sender)
        else {
            continue;
        };
        let other = match step.sender {
            Sender::Device => Sender::Server,
            Sender::Server => Sender::Device,
        };
        let read = Packet::decode(bytes, other);
        match auth {
            Auth::Token { .. } => assert!(
                matches!(read, Ok(Packet::Frame(f)) if f.message == Message::Auth(Auth::Wanted)),
                "a token from a server is only its question"
            ),
            _ => assert_eq!(read, Err(Malformed::Head), "{}: no device says so", step.name),
        }
    }
}

fn is_broken(name: &str) -> bool {
    BROKEN.iter().any(|(broken, _)| *broken == name)
}

/// Says what a packet is in the words of the recording.
fn summary(packet: Packet<'_>) -> String {
    let frame = match packet {
        Packet::Ping => return "Ping (whole frame, no document name)".into(),
        Packet::Pong => return "Pong (whole frame, no document name)".into(),
        Packet::Frame(frame) => frame,
    };
    let name = quoted(frame.document);
    match frame.message {
        Message::Sync(sync) => format!("Sync for {name}: {}", step(sync)),
        Message::SyncReply(sync) => format!("SyncReply for {name}: {}", step(sync)),
        Message::Awareness(_) => format!("Awareness for {name}: awareness states"),
        Message::Auth(auth) => format!("Auth for {name}: {}", said(auth)),
        Message::QueryAwareness => format!("QueryAwareness for {name}"),
        Message::Stateless(text) => format!("Stateless for {name}: payload {}", quoted(text)),
        Message::BroadcastStateless(text) => {
            format!("BroadcastStateless for {name}: payload {}", quoted(text))
        }
        Message::Close(None) => format!("Close for {name}: no reason (from a provider)"),
        Message::Close(Some(reason)) => format!("Close for {name}: reason {}", quoted(reason)),
        Message::SyncStatus(true) => format!("SyncStatus for {name}: applied"),
        Message::SyncStatus(false) => format!("SyncStatus for {name}: refused"),
        Message::Unknown(kind) => format!("type {kind} for {name}"),
    }
}

fn step(sync: Sync<'_>) -> &'static str {
    match sync {
        Sync::Step1(_) => "SyncStep1",
        Sync::Step2(_) => "SyncStep2",
        Sync::Update(_) => "Update",
    }
}

fn said(auth: Auth<'_>) -> String {
    match auth {
        Auth::Token { version: None, .. } => "token".into(),
        Auth::Token {
            version: Some(version),
            ..
        } => format!("token, provider version {version}"),
        Auth::Wanted => "request for the token".into(),
        Auth::Denied { reason } => format!("PermissionDenied {reason}"),
        Auth::Granted { scope } => format!("Authenticated {scope}"),
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

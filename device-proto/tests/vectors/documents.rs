//! The Yjs updates in the recording: the guard lets them pass, and a replica reads what they say.

use std::collections::BTreeMap;

use device_proto::doc::{Entry, Map, Poisoned, Replica};
use device_proto::frame::{Frame, Message, Packet, Sender, Sync};
use device_proto::update::Refused;

use crate::recording::{Step, scenarios};

/// An update that was sent to see what the genuine server makes of garbage.
const GARBAGE: &str = "probe-garbage-update/04-sync";

/// The updates that tell a device something new, and what `tokens.default` then is. All others repeat, what is no text
/// (`token-pushed-later/12` an object, `/13` bytes) or no map of a device doc.
const NEWS: [(&str, Option<&str>); 10] = [
    ("server-closes-socket/10-sync", Some("v1.c2VhbGVk")),
    ("server-closes-socket/21-sync", Some("v1.c2VhbGVk")),
    ("server-restarts/10-sync", Some("v1.c2VhbGVk")),
    ("server-restarts/21-sync", Some("v1.c2VhbGVk")),
    ("session-awareness/18-sync", Some("v1.c2VhbGVk")),
    ("session-awareness/19-sync", Some("v1.c2VhbGVk")),
    ("success-token-present/07-sync", Some("v1.c2VhbGVk")),
    ("token-pushed-later/10-sync", Some("v1.c2VhbGVk")),
    ("token-pushed-later/11-sync", Some("v1.cmVuZXdlZA")),
    ("token-pushed-later/14-sync", None),
];

#[test]
fn d_035_every_recorded_update_passes_the_guard_in_its_place() {
    let mut passed = 0;
    for socket in scenarios().into_values().flatten() {
        let mut replicas: BTreeMap<_, Replica> = BTreeMap::new();
        for step in socket {
            let Some((document, update)) = update(step) else {
                continue;
            };
            let taken = replicas.entry(document).or_default().apply(update);
            if step.name == GARBAGE {
                assert_eq!(taken, Err(Poisoned::Refused(Refused::Truncated)));
                continue;
            }
            assert!(taken.is_ok(), "{}: {taken:?}", step.name);
            passed += 1;
        }
    }
    assert_eq!(passed, 66);
}

#[test]
fn a_replica_reads_what_the_server_wrote() {
    let mut news = Vec::new();
    for socket in scenarios().into_values().flatten() {
        news.extend(read(&socket));
    }
    let expected = NEWS.map(|(step, value)| {
        let entry = Entry {
            map: Map::Tokens,
            key: "default".into(),
            value: value.map(Into::into),
        };
        (step, entry)
    });
    assert_eq!(news, expected);
}

/// Gives one socket's updates to one replica for each document; returns what was new, and in which step.
fn read<'a>(socket: &[&'a Step]) -> Vec<(&'a str, Entry)> {
    let mut replicas: BTreeMap<_, Replica> = BTreeMap::new();
    let mut news = Vec::new();
    for step in socket.iter().filter(|step| step.sender == Sender::Server) {
        let Some((document, update)) = update(step) else {
            continue;
        };
        let entries = replicas.entry(document).or_default().apply(update).unwrap();
        news.extend(entries.into_iter().map(|entry| (step.name.as_str(), entry)));
    }
    news
}

#[test]
fn d_034_a_replica_that_outlives_its_connection_misses_the_second_incarnation() {
    for scenario in ["server-restarts", "server-closes-socket"] {
        let mut kept = Replica::default();
        let said: Vec<_> = scenarios()[scenario]
            .iter()
            .flatten()
            .filter(|step| step.sender == Sender::Server)
            .filter_map(|step| update(step))
            .flat_map(|(_, update)| kept.apply(update).unwrap())
            .collect();
        assert_eq!(
            said.len(),
            1,
            "{scenario}: both incarnations wrote as client 2, clock 0"
        );
    }
}

/// The document and the update in a step.
fn update(step: &Step) -> Option<(&str, &[u8])> {
    let Ok(Packet::Frame(Frame { document, message })) = Packet::decode(step.message()?, step.sender) else {
        return None;
    };
    match message {
        Message::Sync(Sync::Step2(update) | Sync::Update(update)) => Some((document, update)),
        _ => None,
    }
}

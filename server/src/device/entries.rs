//! What a session's doc says: the record's stage, and the sealed challenge.

use std::collections::BTreeMap;

use device_proto::doc::Map;
use device_proto::session::{Status, View};

use super::challenge::SealedChallenge;
use super::record::Stage;

/// An entry of a doc: its map, its key, its value.
pub(super) type Entry = (Map, String, String);

/// Returns everything that a new incarnation of the doc begins with.
pub(super) fn whole(stage: &Stage, challenge: &SealedChallenge) -> Vec<Entry> {
    let challenge = challenge.texts().into_iter();
    let challenge = challenge.map(|(key, value)| (Map::Server, key.to_owned(), value));
    of_stage(stage).into_iter().chain(challenge).collect()
}

/// Returns the entries that a stage stands for.
pub(super) fn of_stage(stage: &Stage) -> Vec<Entry> {
    let tokens = if let Stage::Active(active) = stage {
        &active.tokens
    } else {
        &BTreeMap::new()
    };
    let sealed = tokens
        .iter()
        .map(|(urn, held)| (Map::Tokens, urn.to_string(), held.sealed.to_string()));
    let session = view(stage).entries().into_iter();
    let session = session.map(|(key, value)| (Map::Session, key.to_owned(), value));
    sealed.chain(session).collect()
}

/// What a stage is to the device.
fn view(stage: &Stage) -> View {
    match stage {
        Stage::Pending { .. } => View::default(),
        Stage::Active(active) => View {
            status: Status::Active,
            subject: Some(active.subject.clone()),
            expires_at: active.ends,
        },
        Stage::Failed { error, description } => View {
            status: Status::Failed {
                error: error.clone(),
                description: description.clone(),
            },
            ..View::default()
        },
    }
}

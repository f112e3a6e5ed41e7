//! Whose room it is. A room whose person has signed in is shown the requests that wait for that person (D-063).

use std::time::Duration;

use device_proto::RequestId;
use device_proto::approval::Approval;
use device_proto::seal::NONCE_LEN;

use super::grant;
use super::record::Stage;
use super::room::Room;
use super::sessions::Sessions;
use super::shown::{Held, ShownApprovals};
use crate::cause::chain;
use crate::clock::now;
use crate::random::random;

/// How long it may take to find the requests that wait.
const FOUND_WITHIN: Duration = Duration::from_secs(10);

/// Notes whose room it is at this stage. A person who is new to the room is shown what waits for them.
pub(super) fn note(sessions: &Sessions, room: &Room, stage: &Stage) {
    let person = person(sessions, room, stage);
    let is_new = sessions.registry.note_person(&room.session, person.as_deref());
    match person {
        Some(person) if is_new => catch_up_later(sessions, room, person),
        Some(_) => {}
        None => {
            room.change_approvals(ShownApprovals::clear);
        }
    }
}

/// Begins to show a room what waits for its person.
pub(super) fn catch_up_later(sessions: &Sessions, room: &Room, person: String) {
    let caught_up = catch_up(sessions.clone(), room.session.clone(), person);
    sessions.work.tasks.spawn(caught_up);
}

/// Returns who signed in. Records of older servers say it in the sealed grant alone.
fn person(sessions: &Sessions, room: &Room, stage: &Stage) -> Option<String> {
    let Stage::Active(active) = stage else {
        return None;
    };
    let in_grant = || grant::opened(sessions, room, &active.grant)?.subject;
    active.sub.clone().or_else(in_grant)
}

async fn catch_up(sessions: Sessions, session: RequestId, person: String) {
    let Some(room) = sessions.registry.hold(&session) else {
        return;
    };
    room.change_approvals(ShownApprovals::begin_catching_up);
    let found = tokio::time::timeout(FOUND_WITHIN, sessions.approver.pending(&person));
    let leaving = sessions.shutdown.begun();
    let pending = match leaving.run_until_cancelled(found).await {
        Some(Ok(pending)) => pending,
        Some(Err(_)) => {
            tracing::warn!("the requests that wait for a person were not found in time");
            Vec::new()
        }
        None => return,
    };
    let held = pending
        .iter()
        .filter_map(|approval| seal(&sessions, &room, approval));
    let held = held.collect();
    room.change_approvals(|shown| shown.catch_up(held, now()));
}

/// Seals a request for a room's device; `None`: it is too large, and waits in the browser alone.
pub(super) fn seal(sessions: &Sessions, room: &Room, approval: &Approval) -> Option<Held> {
    let sealed = sessions.registry.with_challenge(room, |challenge| {
        approval.seal(challenge, &room.session, random::<NONCE_LEN>())
    });
    let sealed = sealed?
        .inspect_err(|error| tracing::warn!(error = chain(error), "a request is not shown to a device"))
        .ok()?;
    Some(Held {
        request: approval.request.clone(),
        sealed,
        expires_at: approval.expires_at,
    })
}

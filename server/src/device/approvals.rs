//! Requests that wait for a person's decision, on the person's devices (C-211): shown, withdrawn, decided (D-063 … D-065).

use std::sync::Arc;

use device_proto::approval::{Approval, ApprovalId};
use device_proto::ask::Decision;

use super::approver::{SignedIn, Undecided};
use super::room::Room;
use super::sessions::Sessions;
use super::{audience, edit};
use crate::cause::chain;
use crate::clock::now;

impl Sessions {
    /// Whether a device of this person is connected.
    pub(crate) fn has_device_of(&self, person: &str) -> bool {
        !self.registry.rooms_of(person).is_empty()
    }

    /// Shows a request on every connected device of its person.
    pub(crate) fn show_approval(&self, person: &str, approval: &Approval) {
        for room in self.registry.rooms_of(person) {
            if let Some(held) = audience::seal(self, &room, approval) {
                let has_vacancy = room.change_approvals(|shown| shown.add(held, now()));
                self.settle(&room, person, has_vacancy);
            }
        }
    }

    /// Takes a request off every device of its person: it was decided, or its time is over.
    pub(crate) fn withdraw_approval(&self, person: &str, request: &ApprovalId) {
        for room in self.registry.rooms_of(person) {
            let has_vacancy = room.change_approvals(|shown| shown.withdraw(request));
            self.settle(&room, person, has_vacancy);
        }
    }

    /// Takes what has ended off every device.
    pub(crate) fn drop_ended_approvals(&self) {
        for (room, person) in self.registry.rooms_with_person() {
            let has_vacancy = room.change_approvals(|shown| shown.drop_ended(now()));
            self.settle(&room, &person, has_vacancy);
        }
    }

    /// After a change: a request that had no place moves up, and a worn doc begins anew.
    fn settle(&self, room: &Arc<Room>, person: &str, has_vacancy: bool) {
        if has_vacancy {
            audience::catch_up_later(self, room, person.to_owned());
        }
        self.mend(room);
    }

    /// A doc that is mostly shadows of requests begins anew, which its record has to know.
    fn mend(&self, room: &Arc<Room>) {
        if !room.is_worn() {
            return;
        }
        let (sessions, room) = (self.clone(), Arc::clone(room));
        self.work.tasks.spawn(async move {
            if let Err(error) = edit::show(&sessions, &room).await {
                tracing::warn!(error = chain(&error), "a worn doc stays as it is");
            }
        });
    }
}

/// Takes the decision of a room's person. What waits no longer is shown no longer.
pub(super) async fn decide(
    sessions: &Sessions,
    room: &Room,
    request: &ApprovalId,
    decision: Decision,
) -> Result<(), Undecided> {
    let person = signed_in(sessions, room).await?;
    let decided = sessions.approver.decide(&person, request, decision).await;
    if decided.err().is_none_or(Undecided::is_over) {
        sessions.withdraw_approval(&person.sub, request);
    }
    decided
}

async fn signed_in(sessions: &Sessions, room: &Room) -> Result<SignedIn, Undecided> {
    let sub = sessions.registry.person_of(&room.session);
    let sub = sub.ok_or(Undecided::NotPending)?.to_string();
    let found = sessions.records.find(&room.session).await.map_err(|error| {
        tracing::error!(error = chain(&error), "a session could not be read");
        Undecided::Unavailable
    })?;
    let (mut record, _) = found.ok_or(Undecided::NotPending)?;
    let begun = record.created_at;
    let auth_time = record
        .active()
        .and_then(|active| active.auth_time)
        .unwrap_or(begun);
    Ok(SignedIn { sub, auth_time })
}

#[cfg(test)]
mod tests;

//! Every change of a record whose room is in memory: edited in the store, then shown in the doc. One at a time, so that what
//! is kept last is shown last.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use device_proto::RequestId;

use super::audience;
use super::record::Record;
use super::records::{Edit, SessionError};
use super::room::Room;
use super::sessions::Sessions;
use crate::cause::chain;
use crate::clock::now;

/// The pause before the store is asked again to keep a grant; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Edits the session's record ([`super::records::Records::edit`]); the doc shows it afterwards, changed or not. The editor
/// sees a grant that the store has yet to keep in its place, and every change keeps it as well.
pub(super) async fn edit<T, E: From<SessionError>>(
    sessions: &Sessions,
    room: &Room,
    mut editor: impl FnMut(&mut Option<Record>) -> Result<Edit<T>, E>,
) -> Result<T, E> {
    let lock = room.lock_record().await;
    let unsaved = room.unsaved();
    let mut is_new_doc = false;
    let mut is_changed = false;
    let edited = sessions.records.edit(&room.session, |record| {
        is_changed = false;
        is_new_doc |= record
            .as_ref()
            .is_some_and(|record| room.refresh_worn(&record.stage, &lock));
        if let (Some(active), Some(grant)) = (record.as_mut().and_then(Record::active), &unsaved) {
            active.set_grant(grant.clone());
        }
        let done = match editor(record)? {
            Edit::Unchanged(done) if !is_new_doc => return Ok(Edit::Unchanged(done)),
            Edit::Unchanged(done) | Edit::Changed(done) => done,
        };
        is_changed = true;
        if let Some(active) = record.as_mut().and_then(Record::active) {
            active.drop_ended(now());
            active.writer = room.writer();
        }
        Ok::<_, E>(Edit::Changed(done))
    });
    let (done, kept) = edited.await?;
    if let Some(grant) = unsaved.filter(|_| is_changed) {
        room.forget_unsaved(&grant);
    }
    if let Some((record, version)) = kept {
        room.show(&record.stage, version, &lock);
        audience::note(sessions, room, &record.stage);
    }
    Ok(done)
}

/// Shows the record as it is in the doc.
pub(super) async fn show(sessions: &Sessions, room: &Room) -> Result<(), SessionError> {
    edit(sessions, room, |_| Ok(Edit::Unchanged(()))).await
}

/// Writes the record as it is, with the grant that the store has yet to keep.
async fn keep(sessions: &Sessions, room: &Room) -> Result<(), SessionError> {
    edit(sessions, room, |_| Ok(Edit::Changed(()))).await
}

/// Goes on trying to keep a grant that the store would not, whether its device stays or not, for as long as the server
/// lives: the refresh token before it is spent (D-043).
pub(super) async fn save_later(sessions: Sessions, session: RequestId) {
    let Some(room) = sessions.registry.hold(&session) else {
        return;
    };
    let pauses = ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times();
    for pause in pauses.build() {
        let leaving = sessions.shutdown.begun();
        let waited = leaving.run_until_cancelled(tokio::time::sleep(pause)).await;
        match keep(&sessions, &room).await {
            Err(error) if error.may_pass() && waited.is_some() => {}
            Err(error) => return tracing::error!(error = chain(&error), "a new refresh token is lost"),
            Ok(()) => return,
        }
    }
}

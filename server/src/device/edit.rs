//! Every change of a session's record: read, edited, kept, and then shown in the doc. One at a time, so that what is kept
//! last is shown last; and a store that stumbles is asked again.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use device_proto::RequestId;
use store::Version;

use super::record::{Record, SessionError};
use super::registry::Room;
use crate::app::App;
use crate::cause::chain;
use crate::clock::now;

/// How often a record is read and written, beyond the first time.
const TRIES: usize = 5;

/// The pause before the second time; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause while the store keeps refusing a grant.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What became of a record, and what its editor takes along.
pub(super) enum Edit<T> {
    /// It was read, and that is all.
    Unchanged(T),
    /// It is to be kept as it is now.
    Changed(T),
}

/// Edits the session's record; `None` is a session that is gone, and what is taken away is forgotten. The doc shows
/// the record afterwards, changed or not.
///
/// The editor may be called again: after a failed write nobody knows whether it was kept.
pub(super) async fn edit<T, E: From<SessionError>>(
    app: &App,
    room: &Room,
    mut editor: impl FnMut(&mut Option<Record>) -> Result<Edit<T>, E>,
) -> Result<T, E> {
    let mut pauses = pauses().with_max_times(TRIES).build();
    loop {
        let pause = match once(app, room, &mut editor).await {
            Err(error) if error.may_pass() => {
                tracing::debug!(error = chain(&error), "the store stumbles");
                pauses.next().ok_or(error)?
            }
            done => return done?,
        };
        tokio::time::sleep(pause).await;
    }
}

fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
}

async fn once<T, E>(
    app: &App,
    room: &Room,
    editor: &mut impl FnMut(&mut Option<Record>) -> Result<Edit<T>, E>,
) -> Result<Result<T, E>, SessionError> {
    let _pen = room.pen().await;
    let (mut record, mut version) = app.sessions.find(&room.session, now()).await?.unzip();
    let is_new_doc = record
        .as_ref()
        .is_some_and(|record| room.refresh_worn(&record.stage));
    let unsaved = room.unsaved();
    if let (Some(active), Some(grant)) = (record.as_mut().and_then(Record::active), &unsaved) {
        active.set_grant(grant.clone());
    }
    let (done, is_changed) = match editor(&mut record) {
        Ok(Edit::Unchanged(done)) => (done, is_new_doc || unsaved.is_some()),
        Ok(Edit::Changed(done)) => (done, true),
        Err(error) => return Ok(Err(error)),
    };
    if is_changed && let Some(read) = version {
        version = keep(app, room, record.as_mut(), read).await?;
    }
    if let Some(grant) = unsaved {
        room.forget_unsaved(&grant);
    }
    if let (Some(record), Some(version)) = (record, version) {
        room.show(&record.stage, version);
    }
    Ok(Ok(done))
}

/// Whoever calls this has the pen.
async fn keep(
    app: &App,
    room: &Room,
    record: Option<&mut Record>,
    read: Version,
) -> Result<Option<Version>, SessionError> {
    let Some(record) = record else {
        app.sessions.forget(&room.session).await?;
        return Ok(None);
    };
    if let Some(active) = record.active() {
        active.drop_ended(now());
        active.writer = room.writer();
    }
    let kept = app.sessions.replace(&room.session, read, record, now()).await?;
    Ok(Some(kept))
}

/// Goes on trying to keep a grant that the store would not, whether its device stays or not, for as long as the server
/// lives: the refresh token before it is spent (D-043).
pub(super) async fn save_later(app: App, session: RequestId) {
    let Some(room) = app.registry.hold(&session) else {
        return;
    };
    let as_it_is = |_: &mut Option<Record>| Ok::<_, SessionError>(Edit::Unchanged(()));
    for pause in pauses().without_max_times().build() {
        let pause = app.leaving.run_until_cancelled(tokio::time::sleep(pause)).await;
        match edit(&app, &room, as_it_is).await {
            Err(error) if error.may_pass() && pause.is_some() => {}
            Err(error) => return tracing::error!(error = chain(&error), "a new refresh token is lost"),
            Ok(()) => return,
        }
    }
}

//! One session in memory, from its first socket to its last piece of work: its doc, its sealed challenge, and what is
//! under way for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use device_proto::RequestId;
use store::Version;
use tokio::sync::{Notify, Semaphore};

use super::challenge::SealedChallenge;
use super::entries;
use super::feed::{Feed, Full, News};
use super::record::{Record, SealedGrant, Stage};
use super::renewed::Renewed;
use super::shown::ShownApprovals;
use super::single_flight::{Flights, SingleFlight, Wanted};
use crate::clock::now;

/// Exchanges of one session at once; the others wait.
const MAX_EXCHANGES: usize = 16;

/// One session's doc and all that works on it.
pub(super) struct Room {
    pub(super) session: RequestId,
    /// Held from reading the record until the doc shows it, so that the doc never goes back to an older record.
    record_lock: tokio::sync::Mutex<()>,
    /// A permit for each exchange of the login's token.
    pub(super) exchanges: Semaphore,
    state: Mutex<State>,
}

/// The lock on the record, held.
pub(super) struct RecordLock<'a>(
    #[expect(dead_code, reason = "held, not read")] tokio::sync::MutexGuard<'a, ()>,
);

struct State {
    feed: Feed,
    challenge: SealedChallenge,
    /// The version of the record that the doc shows, once that is known.
    shown: Option<Version>,
    /// Until when a person has to sign in, Unix seconds; `None` once the session is not pending.
    login_ends: Option<u64>,
    is_over: bool,
    /// The requests that its person may decide.
    approvals: ShownApprovals,
    flights: Flights<Renewed>,
    /// A grant that the store has yet to keep; the one in the record is spent. The room stays until then.
    unsaved: Option<SealedGrant>,
    /// How many pieces of work hold the room. Meanwhile it stays, so that a device that comes back finds the same one.
    holds: usize,
}

impl Room {
    /// Opens the room of a session with what its record says.
    pub(super) fn open(session: RequestId, record: &Record, challenge: SealedChallenge) -> Self {
        let (written, login_ends) = match &record.stage {
            Stage::Active(active) => (active.writer, None),
            Stage::Pending { login_ends } => (0, Some(*login_ends)),
            Stage::Failed { .. } => (0, None),
        };
        let state = State {
            feed: Feed::new(written, &entries::whole(&record.stage, &challenge)),
            challenge,
            shown: None,
            login_ends,
            is_over: false,
            approvals: ShownApprovals::default(),
            flights: Flights::default(),
            unsaved: None,
            holds: 0,
        };
        Self {
            session,
            record_lock: tokio::sync::Mutex::default(),
            exchanges: Semaphore::new(MAX_EXCHANGES),
            state: Mutex::new(state),
        }
    }

    /// Writes what the record says at this version, as far as it is new, and wakes every socket.
    pub(super) fn show(&self, stage: &Stage, version: Version, _: &RecordLock<'_>) {
        let mut state = self.state();
        if state.shown != Some(version) {
            state.show(stage);
            state.shown = Some(version);
        }
    }

    /// Begins a new incarnation of a doc that is mostly shadows, and returns whether it did. Before [`Room::writer`] is
    /// asked for: the record has to know it.
    pub(super) fn refresh_worn(&self, stage: &Stage, _: &RecordLock<'_>) -> bool {
        let mut state = self.state();
        let is_worn = state.feed.is_worn();
        if is_worn {
            let mut entries = entries::whole(stage, &state.challenge);
            entries.extend(state.approvals.entries());
            state.feed.begin_anew(&entries);
        }
        is_worn
    }

    /// Changes which requests are shown, and wakes every socket if there is something new. Returns whether there is a place
    /// again for a request that had none.
    pub(super) fn change_approvals(&self, change: impl FnOnce(&mut ShownApprovals)) -> bool {
        let mut state = self.state();
        change(&mut state.approvals);
        if state.approvals.take_change() {
            let entries = state.approvals.entries();
            state.feed.write_approvals(&entries);
        }
        state.approvals.take_vacancy()
    }

    /// Whether its doc is mostly shadows.
    pub(super) fn is_worn(&self) -> bool {
        self.state().feed.is_worn()
    }

    /// Returns the flight for what is asked of the provider for this session.
    pub(super) fn flight(&self, wanted: Wanted) -> SingleFlight<Renewed> {
        self.state().flights.of(wanted)
    }

    /// Waits until this session's record may be changed.
    pub(super) async fn lock_record(&self) -> RecordLock<'_> {
        RecordLock(self.record_lock.lock().await)
    }

    /// Remembers a grant until the store keeps it.
    pub(super) fn set_unsaved(&self, grant: SealedGrant) {
        self.state().unsaved = Some(grant);
    }

    /// The store keeps this grant.
    pub(super) fn forget_unsaved(&self, grant: &SealedGrant) {
        self.state().unsaved.take_if(|unsaved| unsaved == grant);
    }

    /// Returns the grant that the store has yet to keep.
    pub(super) fn unsaved(&self) -> Option<SealedGrant> {
        self.state().unsaved.clone()
    }

    /// Ends the session: every socket says so and closes.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.is_over = true;
        state.feed.ring();
    }

    /// The time to sign in is over (D-005): the device is told, then the session ends.
    pub(super) fn expire(&self) {
        let failed = Stage::Failed {
            error: "expired_token".into(),
            description: "nobody signed in in time".into(),
        };
        self.state().show(&failed);
        self.end();
    }

    /// Whether the session has ended.
    pub(super) fn is_over(&self) -> bool {
        self.state().is_over
    }

    /// Returns how long a person may still take to sign in, while the session is pending.
    pub(super) fn login_ends_in(&self) -> Option<Duration> {
        let ends = self.state().login_ends?;
        Some(Duration::from_secs(ends.saturating_sub(now().seconds())))
    }

    /// Returns the id that this incarnation of the doc writes under.
    pub(super) fn writer(&self) -> u64 {
        self.state().feed.writer()
    }

    /// Does something with the sealed challenge.
    pub(super) fn with_sealed_challenge<T>(&self, used: impl FnOnce(&SealedChallenge) -> T) -> T {
        used(&self.state().challenge)
    }

    /// Whether a socket of the device is here.
    pub(super) fn has_device(&self) -> bool {
        self.state().feed.has_listeners()
    }

    /// Takes a socket in, and returns its id.
    pub(super) fn listen(&self, bell: &Arc<Notify>) -> Result<u64, Full> {
        self.state().feed.listen(bell)
    }

    /// Forgets a socket.
    pub(super) fn leave(&self, socket: u64) {
        self.state().feed.leave(socket);
    }

    /// Returns the doc's state, which this socket is to send.
    pub(super) fn snapshot(&self, socket: u64) -> Vec<u8> {
        self.state().feed.snapshot(socket)
    }

    /// Returns what this socket has still to send.
    pub(super) fn news(&self, socket: u64) -> News {
        self.state().feed.news(socket)
    }

    /// Counts one more piece of work, unless there are `most`.
    pub(super) fn hold(&self, most: usize) -> bool {
        let mut state = self.state();
        let has_room = state.holds < most;
        state.holds += usize::from(has_room);
        has_room
    }

    /// A piece of work is over.
    pub(super) fn release(&self) {
        self.state().holds -= 1;
    }

    /// Whether nobody is here, and nothing has to be kept.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        !state.feed.has_listeners() && state.holds == 0 && state.unsaved.is_none()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn show(&mut self, stage: &Stage) {
        self.feed.write(&entries::of_stage(stage));
        self.shown = None;
        if !matches!(stage, Stage::Pending { .. }) {
            self.login_ends = None;
        }
    }
}

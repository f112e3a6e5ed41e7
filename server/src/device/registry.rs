//! The rooms in memory: which sessions this server has at hand (rule 1 of the architecture).

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use device_proto::ask::Ask;
use device_proto::{Challenge, RequestId};
use tokio::sync::Notify;
use zeroize::Zeroizing;

use super::challenge::ServerKey;
use super::feed::{Full, News};
use super::record::Record;
use super::room::Room;

/// Asks of one session under way at once, whether their devices are still there or not.
const MAX_HOLDS: usize = 256;

/// Rooms in memory at once; a device beyond it is asked to come back.
const MAX_ROOMS: usize = 100_000;

/// Every room in memory.
pub(super) struct Registry {
    rooms: Mutex<HashMap<RequestId, Arc<Room>>>,
    /// A device has joined.
    joined: Notify,
    server_key: ServerKey,
}

/// Keeps the session's room for a piece of work, whether its device stays or not.
pub(super) struct Hold<'a> {
    registry: &'a Registry,
    room: Arc<Room>,
}

/// A socket's place in a room; leaves it when dropped.
pub(super) struct Seat<'a> {
    registry: &'a Registry,
    pub(super) room: Arc<Room>,
    id: u64,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            rooms: Mutex::default(),
            joined: Notify::new(),
            server_key: ServerKey::draw(),
        }
    }
}

impl Registry {
    /// Takes a socket that has proven its challenge into the session's room. The first one opens it: the doc is
    /// made of the record, and the challenge is sealed into it.
    pub(super) fn join(
        &self,
        session: &RequestId,
        record: &Record,
        challenge: Challenge<'_>,
        bell: &Arc<Notify>,
    ) -> Result<Seat<'_>, Full> {
        let existing = self.rooms().get(session).cloned();
        let fresh = existing.unwrap_or_else(|| Arc::new(self.open(session, record, challenge)));
        let (room, id) = {
            let mut rooms = self.rooms();
            if rooms.len() >= MAX_ROOMS && !rooms.contains_key(session) {
                return Err(Full);
            }
            let room = Arc::clone(rooms.entry(session.clone()).or_insert(fresh));
            // Under the map's lock: otherwise the empty room could be removed in between.
            let id = room.listen(bell)?;
            (room, id)
        };
        self.joined.notify_waiters();
        Ok(Seat {
            registry: self,
            room,
            id,
        })
    }

    fn open(&self, session: &RequestId, record: &Record, challenge: Challenge<'_>) -> Room {
        let sealed = self.server_key.seal(session, challenge);
        Room::open(session.clone(), record, sealed)
    }

    /// Opens the challenge that lies sealed in the room of a session whose device is connected (D-024), for one
    /// use. It is wiped where it lay: a value that is handed out leaves copies on the way.
    pub(super) fn with_challenge<T>(&self, room: &Room, used: impl FnOnce(Challenge<'_>) -> T) -> Option<T> {
        let mut secret = Zeroizing::new([0; 32]);
        room.with_sealed_challenge(|sealed| self.server_key.open(&room.session, sealed, &mut secret))?;
        Some(used(Challenge::new(&secret)))
    }

    /// Holds the session's room, if it is in memory.
    pub(super) fn hold(&self, session: &RequestId) -> Option<Hold<'_>> {
        self.hold_beside(session, usize::MAX)
    }

    /// Holds the room for what a device asks; `None` as well when too much is asked for already. There is always a
    /// place for the end.
    pub(super) fn hold_for(&self, session: &RequestId, ask: &Ask) -> Option<Hold<'_>> {
        let most = match ask {
            Ask::End { .. } => usize::MAX,
            Ask::Token { .. } => MAX_HOLDS,
        };
        self.hold_beside(session, most)
    }

    /// Holds the room of a session whose device is here, or comes back in time (D-022).
    pub(super) async fn hold_connected(&self, session: &RequestId, patience: Duration) -> Option<Hold<'_>> {
        let found = tokio::time::timeout(patience, async {
            loop {
                let joined = self.joined.notified();
                if let Some(hold) = self.hold(session).filter(|hold| hold.has_device()) {
                    return hold;
                }
                joined.await;
            }
        });
        found.await.ok()
    }

    fn hold_beside(&self, session: &RequestId, most: usize) -> Option<Hold<'_>> {
        let rooms = self.rooms();
        let room = Arc::clone(rooms.get(session).filter(|room| room.hold(most))?);
        Some(Hold { registry: self, room })
    }

    /// Removes the room when nothing needs it any more. What `left` does is seen by nobody before that.
    fn tidy(&self, room: &Room, left: impl FnOnce(&Room)) {
        let mut rooms = self.rooms();
        left(room);
        if room.is_idle() {
            rooms.remove(&room.session);
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<RequestId, Arc<Room>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat<'_> {
    /// Returns the doc's state, which the socket is to send.
    pub(super) fn snapshot(&self) -> Vec<u8> {
        self.room.snapshot(self.id)
    }

    /// Returns what the socket has still to send.
    pub(super) fn news(&self) -> News {
        self.room.news(self.id)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.registry.tidy(&self.room, |room| room.leave(self.id));
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.registry.tidy(&self.room, Room::release);
    }
}

impl Deref for Hold<'_> {
    type Target = Room;

    fn deref(&self) -> &Room {
        &self.room
    }
}

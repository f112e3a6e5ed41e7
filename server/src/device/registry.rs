//! The rooms in memory: which sessions this server has at hand (rule 1 of the architecture).

use std::collections::{HashMap, HashSet};
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
    rooms: Mutex<Rooms>,
    /// A device has joined.
    joined: Notify,
    server_key: ServerKey,
}

/// The rooms, and whose they are.
#[derive(Default)]
struct Rooms {
    by_session: HashMap<RequestId, Place>,
    /// The sessions of each person who is signed in on one.
    by_person: HashMap<Arc<str>, HashSet<RequestId>>,
}

/// A room's place.
struct Place {
    room: Arc<Room>,
    /// The `sub` of the person who is signed in.
    person: Option<Arc<str>>,
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
    /// Whether it opened the room.
    pub(super) is_first: bool,
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
        let existing = self.rooms().room(session).cloned();
        let fresh = existing.unwrap_or_else(|| Arc::new(self.open(session, record, challenge)));
        let (room, id, is_first) = {
            let mut rooms = self.rooms();
            let by_session = &mut rooms.by_session;
            if by_session.len() >= MAX_ROOMS && !by_session.contains_key(session) {
                return Err(Full);
            }
            let is_first = !by_session.contains_key(session);
            let place = by_session.entry(session.clone()).or_insert(Place {
                room: fresh,
                person: None,
            });
            let room = Arc::clone(&place.room);
            // Under the map's lock: otherwise the empty room could be removed in between.
            let id = room.listen(bell)?;
            (room, id, is_first)
        };
        self.joined.notify_waiters();
        Ok(Seat {
            registry: self,
            room,
            id,
            is_first,
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
            Ask::Token { .. } | Ask::Decide { .. } => MAX_HOLDS,
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
        let room = Arc::clone(rooms.room(session).filter(|room| room.hold(most))?);
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

    /// Notes who is signed in on a session. Returns whether this is news to its room.
    pub(super) fn note_person(&self, session: &RequestId, person: Option<&str>) -> bool {
        self.rooms().note_person(session, person)
    }

    /// Returns who is signed in on a session.
    pub(super) fn person_of(&self, session: &RequestId) -> Option<Arc<str>> {
        self.rooms().by_session.get(session)?.person.clone()
    }

    /// Returns the rooms of the sessions on which a person is signed in.
    pub(super) fn rooms_of(&self, person: &str) -> Vec<Arc<Room>> {
        let rooms = self.rooms();
        let sessions = rooms.by_person.get(person).into_iter().flatten();
        sessions
            .filter_map(|session| rooms.room(session).cloned())
            .collect()
    }

    /// Returns the rooms of all people, each with its person.
    pub(super) fn rooms_with_person(&self) -> Vec<(Arc<Room>, Arc<str>)> {
        let rooms = self.rooms();
        let mut found = Vec::new();
        for (person, sessions) in &rooms.by_person {
            let theirs = sessions.iter().filter_map(|session| rooms.room(session));
            found.extend(theirs.map(|room| (Arc::clone(room), Arc::clone(person))));
        }
        found
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    fn room(&self, session: &RequestId) -> Option<&Arc<Room>> {
        Some(&self.by_session.get(session)?.room)
    }

    fn note_person(&mut self, session: &RequestId, person: Option<&str>) -> bool {
        let Some(place) = self.by_session.get_mut(session) else {
            return false;
        };
        if place.person.as_deref() == person {
            return false;
        }
        let person: Option<Arc<str>> = person.map(Into::into);
        let before = std::mem::replace(&mut place.person, person.clone());
        self.leave(session, before);
        if let Some(person) = person {
            self.by_person.entry(person).or_default().insert(session.clone());
        }
        true
    }

    fn remove(&mut self, session: &RequestId) {
        if let Some(place) = self.by_session.remove(session) {
            self.leave(session, place.person);
        }
    }

    /// Takes a session off its person's list.
    fn leave(&mut self, session: &RequestId, person: Option<Arc<str>>) {
        let Some(person) = person else { return };
        if let Some(sessions) = self.by_person.get_mut(&person) {
            sessions.remove(session);
            if sessions.is_empty() {
                self.by_person.remove(&person);
            }
        }
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

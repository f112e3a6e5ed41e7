//! The docs that are in memory, and the sockets on each: who holds a session here (rule 1 of the architecture).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use bytes::Bytes;
use device_proto::ask::Ask;
use device_proto::doc::{Change, Map};
use device_proto::frame::EMPTY_UPDATE;
use device_proto::hub::MAX_SOCKETS;
use device_proto::seal::{Key, NONCE_LEN, Sealed};
use device_proto::session::{Status, View};
use device_proto::{Challenge, Doc, RequestId};
use store::Version;
use tokio::sync::{Notify, Semaphore};
use zeroize::Zeroizing;

use super::grant::SealedGrant;
use super::record::{Record, Stage};
use super::renew::Found;
use super::turn::{Turn, Turns, What};
use crate::clock::{epoch_millis, now};
use crate::random::random;

/// Asks of one session under way at once, whether their devices are still there or not.
const MAX_HOLDS: usize = 256;

/// Exchanges of one session at once; the others wait.
const MAX_EXCHANGES: usize = 16;

/// Docs in memory at once; a device beyond it is asked to come back.
const MAX_ROOMS: usize = 100_000;

/// Changes that are kept for sockets that have not sent them; who is further behind is sent the whole state.
const MAX_CHANGES: usize = 64;

/// Bytes of them.
const MAX_CHANGE_BYTES: usize = 256 * 1024;

/// The sealed challenge's place in the `_server` map, and the "resource" it is sealed for.
const CHALLENGE: &str = "challenge";

/// The salt of the key it is sealed with.
const SALT: &str = "salt";

/// Bytes of it.
const SALT_LEN: usize = 16;

/// Every doc in memory.
pub(crate) struct Registry {
    rooms: Mutex<HashMap<RequestId, Arc<Room>>>,
    /// Somebody joined.
    joined: Notify,
    /// Seals challenges while they wait for a login (D-012). It lives in memory alone, like what it seals: no
    /// disk and no dump of the store has ever held it (D-032).
    server_key: Zeroizing<[u8; 32]>,
}

/// One session's doc and the sockets on it.
pub(crate) struct Room {
    pub(crate) session: RequestId,
    /// Held by whoever changes the record: what is kept last is shown last.
    pen: tokio::sync::Mutex<()>,
    /// Taken by whoever exchanges the login's token.
    pub(super) exchanges: Semaphore,
    state: Mutex<State>,
}

/// A challenge while it waits for a login (D-012), as the doc has it too: the doc would have to be decoded for each use.
struct SealedChallenge {
    sealed: Sealed,
    salt: [u8; SALT_LEN],
}

struct State {
    doc: Doc,
    challenge: SealedChallenge,
    /// The version of the record that the doc shows, once that is known.
    shown: Option<Version>,
    /// Counts changes, so that a socket knows what it has sent.
    version: u64,
    /// The latest changes, as far as some socket has yet to send them.
    changes: VecDeque<Bytes>,
    /// Until when somebody has to sign in, Unix seconds; `None` once the session is not pending.
    login_ends: Option<u64>,
    over: bool,
    sockets: Vec<Listener>,
    next_seat: u64,
    turns: Turns<Found>,
    /// A grant that the store has yet to keep: the one in the record is spent. The room stays until then.
    unsaved: Option<SealedGrant>,
    /// How many work for the session. While somebody does, the room stays, so that a device that comes back finds
    /// the same one, and the same turn.
    holds: usize,
}

/// A socket on a doc.
struct Listener {
    seat: u64,
    bell: Arc<Notify>,
    /// The version of the doc that it has sent.
    seen: u64,
}

/// Whoever works for a session holds its room, whether its device stays or not.
pub(crate) struct Hold<'a> {
    registry: &'a Registry,
    room: Arc<Room>,
}

/// What a socket has not sent yet.
pub(crate) enum News {
    Nothing,
    /// These changes, each an update.
    Changes(Vec<Bytes>),
    /// So much that it is the whole state.
    State(Vec<u8>),
}

/// A session's doc has as many sockets as it may, or there are too many docs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full;

/// A socket's place in a room; leaves it when dropped.
pub(crate) struct Seat<'a> {
    registry: &'a Registry,
    pub(crate) room: Arc<Room>,
    id: u64,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            rooms: Mutex::default(),
            joined: Notify::new(),
            server_key: Zeroizing::new(random()),
        }
    }
}

impl Registry {
    /// Takes a socket that has proven its challenge into the session's room. The first one opens it: the doc is
    /// made of the record, and the challenge is sealed into it.
    pub(crate) fn join(
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
            // Under the map's lock: nobody can find the room empty and take it away in between.
            let id = room.sit(bell)?;
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
        let salt: [u8; SALT_LEN] = random();
        let sealed = Key::of_server(&self.server_key, &salt, session).seal(
            CHALLENGE,
            random::<NONCE_LEN>(),
            challenge.expose_bytes(),
        );
        Room::open(session.clone(), record, SealedChallenge { sealed, salt })
    }

    /// Opens the challenge that lies sealed in the room of a session whose device is connected (D-024), for one
    /// use. It is wiped where it lay: a value that is handed out leaves copies on the way.
    pub(super) fn with_challenge<T>(&self, room: &Room, used: impl FnOnce(Challenge<'_>) -> T) -> Option<T> {
        let mut secret = Zeroizing::new([0; 32]);
        let state = room.state();
        let SealedChallenge { sealed, salt } = &state.challenge;
        let key = Key::of_server(&self.server_key, salt, &room.session);
        key.open(CHALLENGE, sealed, &mut *secret).ok()?;
        drop(state);
        Some(used(Challenge::new(&secret)))
    }

    /// Holds the session's room, waiting for its device to come back if it is away (D-022).
    pub(crate) async fn holder(&self, session: &RequestId, patience: Duration) -> Option<Hold<'_>> {
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

    /// Holds the session's room, if it is in memory.
    pub(crate) fn hold(&self, session: &RequestId) -> Option<Hold<'_>> {
        self.hold_if(session, |_| true)
    }

    /// The same for what a device asks: `None` as well when too much is asked for already. There is always a place
    /// for the end.
    pub(super) fn hold_for(&self, session: &RequestId, ask: &Ask) -> Option<Hold<'_>> {
        let is_end = matches!(ask, Ask::End { .. });
        self.hold_if(session, |state| is_end || state.holds < MAX_HOLDS)
    }

    fn hold_if(&self, session: &RequestId, may: impl FnOnce(&State) -> bool) -> Option<Hold<'_>> {
        let rooms = self.rooms();
        let room = Arc::clone(rooms.get(session)?);
        {
            let mut state = room.state();
            may(&state).then(|| state.holds += 1)?;
        }
        Some(Hold { registry: self, room })
    }

    /// Takes the room off the map when nobody is in it any more.
    fn tidy(rooms: &mut HashMap<RequestId, Arc<Room>>, room: &Room, state: &State) {
        if state.sockets.is_empty() && state.holds == 0 && state.unsaved.is_none() {
            rooms.remove(&room.session);
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<RequestId, Arc<Room>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn open(session: RequestId, record: &Record, challenge: SealedChallenge) -> Self {
        let written = if let Stage::Active(active) = &record.stage {
            active.writer
        } else {
            0
        };
        // The larger writer wins on a device that kept an old doc (D-034).
        let mut doc = Doc::new(epoch_millis().max(written + 1));
        doc.write(&changes(&[entries(&record.stage), challenge.entries()].concat()));
        let login_ends = if let Stage::Pending { login_ends } = record.stage {
            Some(login_ends)
        } else {
            None
        };
        let state = State {
            doc,
            challenge,
            shown: None,
            version: 0,
            changes: VecDeque::new(),
            login_ends,
            over: false,
            sockets: Vec::with_capacity(1),
            next_seat: 0,
            turns: Turns::default(),
            unsaved: None,
            holds: 0,
        };
        Self {
            session,
            pen: tokio::sync::Mutex::default(),
            exchanges: Semaphore::new(MAX_EXCHANGES),
            state: Mutex::new(state),
        }
    }

    /// Writes what the record says at this version, as far as it is new, and rings every socket.
    pub(super) fn show(&self, stage: &Stage, version: Version) {
        let mut state = self.state();
        if state.shown != Some(version) {
            state.show(stage);
            state.shown = Some(version);
        }
    }

    /// Begins a new incarnation of a doc that is mostly shadows, and returns whether it did. Before [`Room::writer`] is
    /// asked for: the record has to know it.
    pub(super) fn refresh_worn(&self, stage: &Stage) -> bool {
        let mut state = self.state();
        if !state.doc.is_worn() {
            return false;
        }
        let mut doc = Doc::new(epoch_millis().max(state.doc.writer() + 1));
        doc.write(&changes(&[entries(stage), state.challenge.entries()].concat()));
        state.doc = doc;
        state.version += 1;
        state.changes.clear();
        state.ring();
        true
    }

    /// Returns the turn for what is asked of the provider for this session.
    pub(super) fn turn(&self, what: What) -> Turn<Found> {
        self.state().turns.of(what)
    }

    /// Waits until nobody else changes this session's record.
    pub(super) async fn pen(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.pen.lock().await
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
        state.over = true;
        state.ring();
    }

    /// Nobody signed in in time (D-005): the device is told, then the session ends.
    pub(super) fn expire(&self) {
        let failed = Stage::Failed {
            error: "expired_token".into(),
            description: "nobody signed in in time".into(),
        };
        self.state().show(&failed);
        self.end();
    }

    fn has_device(&self) -> bool {
        !self.state().sockets.is_empty()
    }

    fn sit(&self, bell: &Arc<Notify>) -> Result<u64, Full> {
        let mut state = self.state();
        if state.sockets.len() >= MAX_SOCKETS {
            return Err(Full);
        }
        let seat = state.next_seat;
        state.next_seat += 1;
        let listener = Listener {
            seat,
            bell: Arc::clone(bell),
            seen: state.version,
        };
        state.sockets.push(listener);
        Ok(seat)
    }

    /// Whether the session has ended.
    pub(super) fn is_over(&self) -> bool {
        self.state().over
    }

    /// Returns how long somebody may still take to sign in, while the session is pending.
    pub(super) fn login_ends_in(&self) -> Option<Duration> {
        let ends = self.state().login_ends?;
        Some(Duration::from_secs(ends.saturating_sub(now().seconds())))
    }

    /// Returns the id that this incarnation of the doc writes under.
    pub(super) fn writer(&self) -> u64 {
        self.state().doc.writer()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SealedChallenge {
    /// What it is in the doc.
    fn entries(&self) -> Vec<Entry> {
        let salt = Base64UrlUnpadded::encode_string(&self.salt);
        [(CHALLENGE, self.sealed.to_string()), (SALT, salt)]
            .map(|(key, value)| (Map::Server, key.to_owned(), value))
            .into()
    }
}

impl State {
    fn show(&mut self, stage: &Stage) {
        let update = self.doc.write_all_of(Map::Tokens, &changes(&entries(stage)));
        self.changed(update);
        self.shown = None;
        if !matches!(stage, Stage::Pending { .. }) {
            self.login_ends = None;
        }
    }

    fn ring(&self) {
        for socket in &self.sockets {
            socket.bell.notify_one();
        }
    }

    fn changed(&mut self, update: Vec<u8>) {
        if update == EMPTY_UPDATE {
            return;
        }
        self.version += 1;
        self.changes.push_back(update.into());
        if self.changes.iter().map(Bytes::len).sum::<usize>() > MAX_CHANGE_BYTES {
            self.changes.clear();
        }
        self.forget_sent();
        self.ring();
    }

    /// Lets go of the changes that every socket has sent, and of the oldest beyond [`MAX_CHANGES`].
    fn forget_sent(&mut self) {
        let behind = self.sockets.iter().map(|socket| self.missed(socket.seen)).max();
        let wanted = behind.unwrap_or(0).min(MAX_CHANGES);
        let excess = self.changes.len().saturating_sub(wanted);
        self.changes.drain(..excess);
        if self.changes.is_empty() {
            self.changes = VecDeque::new();
        }
    }

    fn missed(&self, seen: u64) -> usize {
        usize::try_from(self.version - seen).unwrap_or(usize::MAX)
    }

    /// Returns what came after `seen`.
    fn since(&self, seen: u64) -> News {
        let missed = self.missed(seen);
        match self.changes.len().checked_sub(missed) {
            _ if missed == 0 => News::Nothing,
            Some(sent) => News::Changes(self.changes.iter().skip(sent).cloned().collect()),
            None => News::State(self.doc.state().to_vec()),
        }
    }

    /// Marks a socket's version as sent; returns the one before.
    fn mark(&mut self, seat: u64) -> u64 {
        let version = self.version;
        let socket = self.sockets.iter_mut().find(|socket| socket.seat == seat);
        socket.map_or(version, |socket| std::mem::replace(&mut socket.seen, version))
    }
}

impl Seat<'_> {
    /// Returns the doc's state, which the socket is to send.
    pub(super) fn snapshot(&self) -> Vec<u8> {
        let mut state = self.room.state();
        state.mark(self.id);
        state.forget_sent();
        state.doc.state().to_vec()
    }

    /// Returns what the socket has to send.
    pub(super) fn news(&self) -> News {
        let mut state = self.room.state();
        let seen = state.mark(self.id);
        let news = state.since(seen);
        state.forget_sent();
        news
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut rooms = self.registry.rooms();
        let mut state = self.room.state();
        state.sockets.retain(|socket| socket.seat != self.id);
        state.forget_sent();
        Registry::tidy(&mut rooms, &self.room, &state);
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut rooms = self.registry.rooms();
        let mut state = self.room.state();
        state.holds -= 1;
        Registry::tidy(&mut rooms, &self.room, &state);
    }
}

impl Deref for Hold<'_> {
    type Target = Room;

    fn deref(&self) -> &Room {
        &self.room
    }
}

/// An entry of a doc: its map, its key, its value.
type Entry = (Map, String, String);

fn changes(entries: &[Entry]) -> Vec<Change<'_>> {
    let changes = entries.iter().map(|(map, key, value)| Change {
        map: *map,
        key,
        value,
    });
    changes.collect()
}

/// The doc's entries that a stage stands for.
fn entries(stage: &Stage) -> Vec<Entry> {
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

#[cfg(test)]
mod tests {
    use device_proto::seal::KeyUse;

    use super::*;

    /// The one key that no test outside can try: it is nowhere but in memory.
    #[test]
    fn d_032_the_server_key_opens_nothing_that_is_kept() {
        let (registry, session) = (Registry::default(), RequestId::from_random(random()));
        let challenge: [u8; 32] = random();
        let ours = Challenge::new(&registry.server_key);
        for key_use in [KeyUse::Token, KeyUse::Refresh] {
            let key = Key::of_challenge(Challenge::new(&challenge), &session, key_use);
            let kept = key.seal("urn:d:x", random::<NONCE_LEN>(), b"a token");
            let mut buffer = [0; 64];
            assert!(key.open("urn:d:x", &kept, &mut buffer).is_ok());
            for key in [
                Key::of_challenge(ours, &session, key_use),
                Key::of_server(&registry.server_key, &[0; 16], &session),
            ] {
                assert!(key.open("urn:d:x", &kept, &mut buffer).is_err());
            }
        }
        assert!(
            *registry.server_key != *Registry::default().server_key,
            "drawn at each start"
        );
    }
}

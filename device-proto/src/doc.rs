//! The device doc (step 5 of the token's way): which maps it has, how the server writes it, how a device reads it.
//!
//! The server keeps bytes, not a live document: between two changes a session costs the length of its state.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use yrs::types::EntryChange;
use yrs::updates::decoder::Decode as _;
use yrs::{
    Any, Map as _, Observable as _, Out, ReadTxn as _, StateVector, Transact as _, Update, WriteTxn as _,
};

use crate::frame::EMPTY_UPDATE;
use crate::history::History;
use crate::update::Refused;

/// The doc's maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Map {
    /// Resource URN → sealed token.
    Tokens,
    /// The challenge, sealed with a key that only the server has (D-012).
    Server,
    /// How far the session is.
    Session,
    /// A request's name → the request, sealed (D-060).
    Approvals,
}

impl Map {
    const ALL: [Self; 4] = [Self::Tokens, Self::Server, Self::Session, Self::Approvals];

    /// Returns the map's name in the doc.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Server => "_server",
            Self::Session => "session",
            Self::Approvals => "approvals",
        }
    }
}

/// One entry as it is to be.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Where.
    pub map: Map,
    /// Which entry.
    pub key: &'a str,
    /// Its value.
    pub value: &'a str,
}

/// Entries that may be overwritten or dropped before [`Doc::is_worn`]. Each leaves two pieces behind at most, so
/// a worn doc of a thousand tokens is still half of what a connection may bring ([`crate::update::MAX_PIECES`]).
const MAX_SHADOWS: usize = 1024;

/// The server's copy of a device doc: the state as an update, and the id its writer goes by.
pub struct Doc {
    writer: u64,
    state: Box<[u8]>,
    /// Entries that were overwritten or dropped: Yjs keeps their shadows.
    shadows: usize,
}

impl Doc {
    /// Makes an empty doc. `writer` is its Yjs client id and has to be larger than that of every earlier
    /// incarnation of the same session, since the larger id wins (D-034); epoch milliseconds are.
    pub fn new(writer: u64) -> Self {
        Self {
            writer,
            state: EMPTY_UPDATE.into(),
            shadows: 0,
        }
    }

    /// Returns the client id that this incarnation writes under.
    pub fn writer(&self) -> u64 {
        self.writer
    }

    /// Returns everything the doc holds, as a Yjs update.
    pub fn state(&self) -> &[u8] {
        &self.state
    }

    /// Returns one entry's value.
    pub fn read(&self, map: Map, key: &str) -> Option<String> {
        let [value] = self.read_each(map, [key]);
        value
    }

    /// Returns the values of several entries: yrs reads the whole state for any.
    pub fn read_each<const N: usize>(&self, map: Map, keys: [&str; N]) -> [Option<String>; N] {
        let doc = yrs::Doc::with_client_id(self.writer);
        let mut txn = doc.transact_mut();
        self.load(&mut txn);
        let map = txn.get_map(map.name());
        keys.map(|key| text(&map.as_ref()?.get(&txn, key)?).map(Cow::into_owned))
    }

    fn load(&self, txn: &mut yrs::TransactionMut<'_>) {
        let own = Update::decode_v1(&self.state).expect("the state was encoded by this type");
        txn.apply_update(own).expect("the state was encoded by this type");
    }

    /// Writes entries and returns the update that carries just those that were not so before.
    pub fn write(&mut self, entries: &[Change<'_>]) -> Vec<u8> {
        self.rewrite(entries, None)
    }

    /// Writes entries and drops from one map what is not among them: a token that has ended, a request that was decided.
    /// A fresh incarnation cannot drop what it never had (D-034), so a device that missed this keeps them.
    pub fn write_all_of(&mut self, map: Map, entries: &[Change<'_>]) -> Vec<u8> {
        self.rewrite(entries, Some(map))
    }

    fn rewrite(&mut self, entries: &[Change<'_>], complete: Option<Map>) -> Vec<u8> {
        let doc = yrs::Doc::with_client_id(self.writer);
        self.load(&mut doc.transact_mut());
        let mut txn = doc.transact_mut();
        for entry in entries {
            let map = txn.get_or_insert_map(entry.map.name());
            let before = map.get(&txn, entry.key);
            if before.as_ref().and_then(text).as_deref() == Some(entry.value) {
                continue;
            }
            self.shadows += usize::from(before.is_some());
            map.insert(&mut txn, entry.key, entry.value);
        }
        self.shadows += complete.map_or(0, |map| drop_others(&mut txn, map, entries));
        txn.commit();
        self.state = txn.encode_state_as_update_v1(&StateVector::default()).into();
        // Not the difference to the state before: that would repeat every deletion there ever was.
        txn.encode_update_v1()
    }

    /// Whether most of the state may be shadows: the next incarnation is small again.
    pub fn is_worn(&self) -> bool {
        self.shadows >= MAX_SHADOWS
    }
}

/// Drops a map's entries that are not among these; returns how many.
fn drop_others(txn: &mut yrs::TransactionMut<'_>, map: Map, entries: &[Change<'_>]) -> usize {
    let stay: BTreeSet<_> = entries.iter().filter(|e| e.map == map).map(|e| e.key).collect();
    let held = txn.get_or_insert_map(map.name());
    let there = held.keys(txn).filter(|key| !stay.contains(key));
    let gone: Vec<_> = there.map(str::to_owned).collect();
    for key in &gone {
        held.remove(txn, key);
    }
    gone.len()
}

/// The device's copy during one connection. It starts empty each time: an old history could win over a newer
/// one (D-034).
pub struct Replica {
    doc: yrs::Doc,
    /// What the maps' observers heard of the update that is being applied. Reading the maps instead would let an
    /// update of a few bytes cost the length of the doc.
    written: Arc<Mutex<Written>>,
    /// A fingerprint of every entry seen, to tell what an update changed. Not the values: they would be a copy.
    seen: BTreeMap<(Map, Arc<str>), u64>,
    history: History,
    /// Bytes of all updates so far. yrs keeps the shadow of what is gone, so only a new replica is small again.
    bytes: usize,
}

/// The entries that one update wrote, and those that it dropped.
type Written = BTreeMap<(Map, Arc<str>), Option<Out>>;

/// An entry that is new, has a new value, or is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub map: Map,
    /// Which entry.
    pub key: String,
    /// Its value; `None`: it was dropped.
    pub value: Option<String>,
}

/// Why an update ended the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Poisoned {
    /// The guard refused it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// yrs could not read it, or panicked (D-036).
    #[error("the update cannot be read")]
    Unreadable,
    /// The connection brought more than [`Replica::MAX_BYTES`].
    #[error("the document has grown too large")]
    TooMuch,
}

impl Default for Replica {
    fn default() -> Self {
        let replica = Self {
            doc: yrs::Doc::new(),
            written: Arc::default(),
            seen: BTreeMap::new(),
            history: History::default(),
            bytes: 0,
        };
        for map in Map::ALL {
            replica.observe(map);
        }
        replica
    }
}

fn lock(written: &Mutex<Written>) -> MutexGuard<'_, Written> {
    written.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Replica {
    /// Bytes of all updates together: a connection that brings more is made anew, which costs a round trip.
    pub const MAX_BYTES: usize = 64 * 1024 * 1024;

    /// Takes a server's update and returns the entries it changed.
    ///
    /// # Errors
    ///
    /// [`Poisoned`]; the replica is of no use afterwards.
    pub fn apply(&mut self, bytes: &[u8]) -> Result<Vec<Entry>, Poisoned> {
        self.bytes += bytes.len();
        if self.bytes > Self::MAX_BYTES {
            return Err(Poisoned::TooMuch);
        }
        if bytes == EMPTY_UPDATE {
            return Ok(Vec::new());
        }
        self.history.admit(bytes)?;
        let fenced = catch_unwind(AssertUnwindSafe(|| self.integrate(bytes)));
        let written = fenced.unwrap_or(Err(Poisoned::Unreadable))?;
        Ok(written
            .into_iter()
            .filter_map(|((map, key), value)| match value {
                Some(value) => self.news(map, &key, &value),
                None => self.loss(map, &key),
            })
            .collect())
    }

    /// Returns one entry's value.
    pub fn read(&self, map: Map, key: &str) -> Option<String> {
        let read = || {
            let txn = self.doc.transact();
            text(&txn.get_map(map.name())?.get(&txn, key)?).map(Cow::into_owned)
        };
        catch_unwind(AssertUnwindSafe(read)).ok().flatten()
    }

    fn observe(&self, map: Map) {
        let written = Arc::clone(&self.written);
        let held = self.doc.get_or_insert_map(map.name());
        held.observe(map.name(), move |txn, event| {
            let mut written = lock(&written);
            for (key, change) in event.keys(txn) {
                let value = match change {
                    EntryChange::Inserted(value) | EntryChange::Updated(_, value) => Some(value.clone()),
                    EntryChange::Removed(_) => None,
                };
                written.insert((map, Arc::clone(key)), value);
            }
        });
    }

    /// Gives an update to yrs and returns the entries it wrote.
    fn integrate(&mut self, bytes: &[u8]) -> Result<Written, Poisoned> {
        let update = Update::decode_v1(bytes).map_err(|_| Poisoned::Unreadable)?;
        let mut txn = self.doc.transact_mut();
        txn.apply_update(update).map_err(|_| Poisoned::Unreadable)?;
        // Structs that are each other's origin: every one exists, none comes first.
        if txn.has_missing_updates() {
            return Err(Refused::Unknown.into());
        }
        // yrs calls the observers at the end of the transaction.
        drop(txn);
        Ok(std::mem::take(&mut *lock(&self.written)))
    }

    /// Returns the entry, unless it was seen with the same value before.
    fn news(&mut self, map: Map, key: &Arc<str>, value: &Out) -> Option<Entry> {
        let value = text(value)?;
        let print = BuildHasherDefault::<DefaultHasher>::default().hash_one(&value);
        let before = self.seen.insert((map, Arc::clone(key)), print);
        (before != Some(print)).then(|| Entry {
            map,
            key: key.as_ref().into(),
            value: Some(value.into()),
        })
    }

    /// Returns that an entry is gone, if it was seen before.
    fn loss(&mut self, map: Map, key: &Arc<str>) -> Option<Entry> {
        self.seen.remove(&(map, Arc::clone(key)))?;
        Some(Entry {
            map,
            key: key.as_ref().into(),
            value: None,
        })
    }
}

/// Every value of ours is a text; numbers come from servers that write them so. Others are passed over.
fn text(value: &Out) -> Option<Cow<'_, str>> {
    match value {
        Out::Any(Any::String(text)) => Some(text.as_ref().into()),
        Out::Any(Any::Number(number)) => Some(number.to_string().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::update;

    fn token(value: &str) -> Change<'_> {
        Change {
            map: Map::Tokens,
            key: "urn:d:x",
            value,
        }
    }

    #[test]
    fn an_update_carries_just_the_change_and_the_state_carries_all() {
        let mut doc = Doc::new(1_000);
        let first = doc.write(&[
            token("one"),
            Change {
                map: Map::Session,
                key: "status",
                value: "active",
            },
        ]);
        let second = doc.write(&[token("two")]);
        assert!(second.len() < first.len());

        let mut device = Replica::default();
        assert_eq!(device.apply(&first).unwrap().len(), 2);
        let changed = device.apply(&second).unwrap();
        assert_eq!(
            changed,
            [Entry {
                map: Map::Tokens,
                key: "urn:d:x".into(),
                value: Some("two".into())
            }]
        );
        assert_eq!(device.apply(&second).unwrap(), [], "applying twice is harmless");

        let mut late = Replica::default();
        assert_eq!(late.apply(doc.state()).unwrap().len(), 2);
        assert_eq!(doc.read(Map::Tokens, "urn:d:x").as_deref(), Some("two"));
        assert_eq!(doc.read(Map::Server, "challenge"), None);
    }

    #[test]
    fn a_thousand_rotations_do_not_grow_the_state() {
        let mut doc = Doc::new(1_000);
        let value = "x".repeat(1_000);
        for n in 0..1_000 {
            doc.write(&[token(&format!("{n}{value}"))]);
        }
        assert!(doc.state().len() < 1_200, "{}", doc.state().len());
    }

    #[test]
    fn what_has_ended_is_dropped_and_what_stays_is_not_written_again() {
        let other = Change {
            key: "urn:d:y",
            ..token("other")
        };
        let session = Change {
            map: Map::Session,
            ..token("kept")
        };
        let mut doc = Doc::new(1_000);
        let mut device = Replica::default();
        let first = doc.write(&[token("one"), other, session]);
        device.apply(&first).unwrap();
        let dropping = doc.write_all_of(Map::Tokens, &[token("one")]);
        assert!(dropping.len() < 32, "only the deletion: {dropping:?}");
        let gone = Entry {
            map: Map::Tokens,
            key: "urn:d:y".into(),
            value: None,
        };
        assert_eq!(device.apply(&dropping).unwrap(), [gone]);
        assert_eq!(device.apply(&dropping).unwrap(), [], "gone already");
        assert_eq!(doc.read(Map::Tokens, "urn:d:y"), None);
        assert_eq!(doc.read(Map::Tokens, "urn:d:x").as_deref(), Some("one"));
        assert_eq!(doc.read(Map::Session, "urn:d:x").as_deref(), Some("kept"));
        assert_eq!(doc.write_all_of(Map::Tokens, &[token("one")]), EMPTY_UPDATE);
    }

    /// Each key's shadows lie between others': nothing of them can be merged.
    #[test]
    fn d_036_a_thousand_tokens_that_rotate_in_turn_stay_within_what_a_device_takes() {
        const TOKENS: usize = 1_000;
        let keys: Vec<_> = (0..TOKENS).map(|n| format!("urn:d:{n}")).collect();
        let mut doc = Doc::new(1_000);
        let mut device = Replica::default();
        let first = keys.iter().map(|key| Change {
            key,
            ..token("first")
        });
        device.apply(&doc.write(&first.collect::<Vec<_>>())).unwrap();
        let mut largest = 0;
        let mut n = 0;
        while !doc.is_worn() {
            n += 7;
            let (key, value) = (&keys[n % TOKENS], format!("token {n}"));
            let update = doc.write(&[Change { key, ..token(&value) }]);
            largest = largest.max(update.len());
            assert_eq!(device.apply(&update).unwrap().len(), 1);
        }
        assert!(largest < 64, "an update is its change alone: {largest} bytes");
        let mut late = Replica::default();
        assert_eq!(late.apply(doc.state()).unwrap().len(), TOKENS);
        assert!(update::check(doc.state()).unwrap().pieces <= update::MAX_PIECES / 2);
    }

    #[test]
    fn d_034_the_newer_incarnation_wins_on_a_device_that_kept_its_doc() {
        let mut device = Replica::default();
        for restart in 0..1_000u64 {
            let mut doc = Doc::new(1_700_000_000_000 + restart);
            let value = format!("token {restart}");
            doc.write(&[token(&value)]);
            let changed = device.apply(doc.state()).unwrap();
            assert_eq!(
                changed,
                [Entry {
                    map: Map::Tokens,
                    key: "urn:d:x".into(),
                    value: Some(value)
                }]
            );
        }
    }

    #[test]
    fn d_036_a_replica_takes_only_so_many_bytes() {
        let update = Doc::new(1).write(&[token("one")]);
        let mut worn = Replica {
            bytes: Replica::MAX_BYTES - update.len(),
            ..Replica::default()
        };
        assert!(worn.apply(&update).is_ok());
        assert_eq!(worn.apply(&update), Err(Poisoned::TooMuch));
    }

    #[test]
    fn d_036_a_tiny_update_to_a_large_doc_has_nothing_of_it_read_again() {
        let keys: Vec<_> = (0..1_000).map(|n| format!("urn:d:{n}")).collect();
        let value = "x".repeat(1_000);
        let all = keys.iter().map(|key| Change { key, ..token(&value) });
        let mut doc = Doc::new(1_000);
        let mut device = Replica::default();
        let first = doc.write(&all.collect::<Vec<_>>());
        assert_eq!(device.integrate(&first).unwrap().len(), 1_000);
        assert_eq!(device.integrate(&first).unwrap().len(), 0, "all of it again");
        let change = doc.write(&[Change {
            key: "urn:d:7",
            ..token("other")
        }]);
        assert_eq!(device.integrate(&change).unwrap().len(), 1);
        let dropping = doc.write_all_of(
            Map::Tokens,
            &[Change {
                key: "urn:d:7",
                ..token("other")
            }],
        );
        assert_eq!(device.integrate(&dropping).unwrap().len(), 999);
    }

    #[test]
    fn d_036_an_empty_update_costs_no_transaction() {
        let mut device = Replica::default();
        let transactions = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&transactions);
        let counting = device.doc.observe_after_transaction("count", move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        counting.unwrap();
        let before = transactions.load(Ordering::Relaxed);
        assert_eq!(device.apply(EMPTY_UPDATE), Ok(vec![]));
        assert_eq!(transactions.load(Ordering::Relaxed), before);
        device.apply(&Doc::new(1).write(&[token("one")])).unwrap();
        assert_eq!(transactions.load(Ordering::Relaxed), before + 1);
        device.bytes = Replica::MAX_BYTES;
        assert_eq!(
            device.apply(EMPTY_UPDATE),
            Err(Poisoned::TooMuch),
            "its bytes count"
        );
    }

    proptest! {
        #[test]
        fn what_a_replica_is_told_of_adds_up_to_what_it_holds(
            steps in vec((0..3usize, 0..4usize, 0..5u8, any::<bool>()), 0..40),
        ) {
            let writers: [_; 3] = std::array::from_fn(|n| yrs::Doc::with_client_id(n as u64 + 1));
            let mut device = Replica::default();
            let mut told = BTreeMap::new();
            for (by, map, value, learns) in steps {
                let map = Map::ALL[map];
                let (key, value) = (["a", "b"][usize::from(value % 2)], format!("{value}"));
                let update = writes(&writers[by], map, key, &value);
                for entry in device.apply(&update).unwrap() {
                    match entry.value {
                        Some(value) => told.insert((entry.map, entry.key), value),
                        None => told.remove(&(entry.map, entry.key)),
                    };
                }
                if learns {
                    let other = &writers[(by + 1) % 3];
                    other.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
                }
            }
            for (map, key) in Map::ALL.into_iter().flat_map(|map| [(map, "a"), (map, "b")]) {
                prop_assert_eq!(told.get(&(map, key.to_owned())).cloned(), device.read(map, key));
            }
        }
    }

    /// Writes an entry, or drops it for `4`; returns the update.
    fn writes(doc: &yrs::Doc, map: Map, key: &str, value: &str) -> Vec<u8> {
        let held = doc.get_or_insert_map(map.name());
        let mut txn = doc.transact_mut();
        if value == "4" {
            held.remove(&mut txn, key);
        } else {
            held.insert(&mut txn, key, value);
        }
        txn.encode_update_v1()
    }

    #[test]
    fn d_036_structs_that_wait_for_each_other_are_refused() {
        let circle = [2, 1, 2, 0, 0x88, 1, 0, 1, 126, 1, 1, 0, 0x88, 2, 0, 1, 126, 0];
        assert_eq!(
            Replica::default().apply(&circle),
            Err(Poisoned::Refused(Refused::Unknown))
        );
    }

    #[test]
    fn d_036_garbage_ends_the_replica_and_nothing_else() {
        for bytes in [&b""[..], b"\xff", b"\x01\x01\x07\x00", b"\x00\x00\x00"] {
            assert!(Replica::default().apply(bytes).is_err(), "{bytes:?}");
        }
    }
}

//! `memory:`, records in this process and gone with it: for tests, trials and as the plainest reading of the contract.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Answer, Key, Put, Record, Space, Store, Swap, UnixSeconds, Version};

/// Records behind a lock, which is never held across an await.
#[derive(Default)]
pub(crate) struct Memory {
    contents: Mutex<Contents>,
}

#[derive(Default)]
struct Contents {
    records: HashMap<Space, HashMap<Arc<str>, Record>>,
    /// The same records by their end, so that a sweep touches only what it removes.
    by_expiry: BTreeSet<(UnixSeconds, Space, Arc<str>)>,
    last_version: i64,
}

impl Memory {
    /// Nothing between two changes of [`Contents`] panics, so behind a poisoned lock they are whole.
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn put_if_absent<'a>(
        &'a self,
        key: Key<'a>,
        value: Vec<u8>,
        expires: UnixSeconds,
        now: UnixSeconds,
    ) -> Answer<'a, Put> {
        Box::pin(async move {
            key.admit(&value)?;
            let mut contents = self.lock();
            if contents.live(key, now).is_some() {
                return Ok(Put::Exists);
            }
            Ok(Put::Done(contents.write(key, value, expires)))
        })
    }

    fn get<'a>(&'a self, key: Key<'a>, now: UnixSeconds) -> Answer<'a, Option<Record>> {
        Box::pin(async move { Ok(self.lock().live(key, now).cloned()) })
    }

    fn take<'a>(&'a self, key: Key<'a>, now: UnixSeconds) -> Answer<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut contents = self.lock();
            let taken = contents
                .live(key, now)
                .is_some()
                .then(|| contents.remove(key))
                .flatten();
            Ok(taken.map(|record| record.value))
        })
    }

    fn compare_and_set<'a>(
        &'a self,
        key: Key<'a>,
        version: Version,
        value: Vec<u8>,
        expires: UnixSeconds,
        now: UnixSeconds,
    ) -> Answer<'a, Swap> {
        Box::pin(async move {
            key.admit(&value)?;
            let mut contents = self.lock();
            match contents.live(key, now) {
                None => Ok(Swap::Gone),
                Some(record) if record.version != version => Ok(Swap::Conflict),
                Some(_) => Ok(Swap::Done(contents.write(key, value, expires))),
            }
        })
    }

    fn delete<'a>(&'a self, key: Key<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            self.lock().remove(key);
            Ok(())
        })
    }

    fn sweep(&self, now: UnixSeconds, limit: usize) -> Answer<'_, usize> {
        Box::pin(async move {
            let mut contents = self.lock();
            let removed = (0..limit)
                .take_while(|_| contents.remove_first_expired(now))
                .count();
            Ok(removed)
        })
    }

    fn count(&self, space: Space, now: UnixSeconds) -> Answer<'_, u64> {
        Box::pin(async move {
            let contents = self.lock();
            let records = contents.records.get(&space).into_iter().flat_map(HashMap::values);
            Ok(records
                .filter(|record| now < record.expires)
                .fold(0, |count, _| count + 1))
        })
    }

    fn list<'a>(
        &'a self,
        space: Space,
        after: &'a str,
        limit: usize,
        now: UnixSeconds,
    ) -> Answer<'a, Vec<(String, Record)>> {
        Box::pin(async move {
            let contents = self.lock();
            let records = contents.records.get(&space).into_iter().flatten();
            let live = records.filter(|(id, record)| ***id > *after && now < record.expires);
            let mut listed: Vec<_> = live
                .map(|(id, record)| (id.to_string(), record.clone()))
                .collect();
            listed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            listed.truncate(limit);
            Ok(listed)
        })
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl Contents {
    fn live(&self, key: Key<'_>, now: UnixSeconds) -> Option<&Record> {
        self.records
            .get(&key.space)?
            .get(key.id)
            .filter(|record| now < record.expires)
    }

    fn write(&mut self, key: Key<'_>, value: Vec<u8>, expires: UnixSeconds) -> Version {
        self.remove(key);
        self.last_version += 1;
        let version = Version(self.last_version);
        let id: Arc<str> = key.id.into();
        self.by_expiry.insert((expires, key.space, id.clone()));
        self.records.entry(key.space).or_default().insert(
            id,
            Record {
                value,
                version,
                expires,
            },
        );
        version
    }

    fn remove(&mut self, key: Key<'_>) -> Option<Record> {
        let (id, record) = self.records.get_mut(&key.space)?.remove_entry(key.id)?;
        self.by_expiry.remove(&(record.expires, key.space, id));
        Some(record)
    }

    fn remove_first_expired(&mut self, now: UnixSeconds) -> bool {
        let Some((_, space, id)) = self
            .by_expiry
            .first()
            .filter(|(expires, ..)| *expires <= now)
            .cloned()
        else {
            return false;
        };
        self.remove(Key { space, id: &id }).is_some()
    }
}

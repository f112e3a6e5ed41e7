//! The requests that wait for a decision, as this process knows them: how many there are, how fast each is polled, and
//! which poll is held. The store has the requests themselves; this is lost with the process, and made anew from it.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::name::Name;
use super::pace::{Pace, TooSoon};
use crate::config;

/// Undecided requests at once: the memory of about 100 MiB.
const MAX_OPEN: usize = 100_000;

/// The open requests.
#[derive(Default)]
pub(super) struct Open(Mutex<Table>);

#[derive(Default)]
struct Table {
    requests: HashMap<Name, Entry>,
    by_user: HashMap<Arc<str>, HashSet<Name>>,
}

struct Entry {
    client_id: Arc<str>,
    sub: Arc<str>,
    /// Unix seconds.
    expires_at: u64,
    pace: Pace,
    held: Option<Arc<Notify>>,
}

/// Why one more request is not taken (C-405).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooMany {
    /// Of this client for this user, or for this user.
    ForUser,
    /// On this server.
    AtAll,
}

/// A poll that is held until the request is decided. Dropped when it is answered, or when its client leaves.
pub(super) struct Held<'a> {
    open: &'a Open,
    name: Name,
    bell: Arc<Notify>,
}

impl Open {
    /// Takes a request in, which lives for this `life` (Unix seconds) from now.
    pub(super) fn add(
        &self,
        name: Name,
        (client_id, sub): (&str, &str),
        life: Range<u64>,
        interval: Duration,
        limits: &config::CibaLimits,
    ) -> Result<(), TooMany> {
        let mut table = self.table();
        if table.requests.len() >= MAX_OPEN {
            return Err(TooMany::AtAll);
        }
        table.admits(client_id, sub, life.start, limits)?;
        table.insert(name, (client_id.into(), sub.into()), life.end, interval);
        Ok(())
    }

    /// Takes in a request that was admitted before this process began.
    pub(super) fn restore(
        &self,
        name: Name,
        (client_id, sub): (&str, &str),
        expires_at: u64,
        interval: Duration,
    ) {
        self.table()
            .insert(name, (client_id.into(), sub.into()), expires_at, interval);
    }

    /// A request was decided, or is gone: a held poll goes on.
    pub(super) fn remove(&self, name: &Name) {
        if let Some(bell) = self.table().remove(name).and_then(|entry| entry.held) {
            bell.notify_one();
        }
    }

    /// Takes a poll of a pending request. Returns what holds it, where `hold` says so and nothing was decided meanwhile.
    pub(super) fn poll(&self, name: &Name, hold: bool) -> Result<Option<Held<'_>>, TooSoon> {
        let mut table = self.table();
        let Some(entry) = table.requests.get_mut(name) else {
            // Decided a moment ago.
            return Ok(None);
        };
        if entry.held.is_some() {
            return Err(TooSoon);
        }
        entry.pace.poll(Instant::now())?;
        if !hold {
            return Ok(None);
        }
        let bell = Arc::new(Notify::new());
        entry.held = Some(Arc::clone(&bell));
        Ok(Some(Held {
            open: self,
            name: *name,
            bell,
        }))
    }

    /// Returns the undecided requests for a person.
    pub(super) fn of_user(&self, sub: &str) -> Vec<Name> {
        let table = self.table();
        table.by_user.get(sub).into_iter().flatten().copied().collect()
    }

    /// Forgets what has expired at `now` (Unix seconds), and returns it.
    pub(super) fn expire(&self, now: u64) -> Vec<Name> {
        let mut table = self.table();
        let old = table.requests.iter().filter(|(_, entry)| entry.expires_at <= now);
        let old: Vec<Name> = old.map(|(name, _)| *name).collect();
        for name in &old {
            if let Some(bell) = table.remove(name).and_then(|entry| entry.held) {
                bell.notify_one();
            }
        }
        old
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn admits(
        &self,
        client_id: &str,
        sub: &str,
        now: u64,
        limits: &config::CibaLimits,
    ) -> Result<(), TooMany> {
        let Some(names) = self.by_user.get(sub) else {
            return Ok(());
        };
        // One that has expired counts no more, though it is there until the next sweep.
        let waiting = || {
            let entries = names.iter().filter_map(|name| self.requests.get(name));
            entries.filter(|entry| entry.expires_at > now)
        };
        let is_of_client = |entry: &&Entry| *entry.client_id == *client_id;
        // A limit that is off, or far away, costs no count.
        let is_full = |limit: u32, count: &dyn Fn() -> usize| {
            limit > 0 && names.len() >= limit as usize && count() >= limit as usize
        };
        let by_client = is_full(limits.undecided_per_client, &|| {
            waiting().filter(is_of_client).count()
        });
        if by_client || is_full(limits.undecided_per_user, &|| waiting().count()) {
            return Err(TooMany::ForUser);
        }
        Ok(())
    }

    fn insert(
        &mut self,
        name: Name,
        (client_id, sub): (Arc<str>, Arc<str>),
        expires_at: u64,
        interval: Duration,
    ) {
        self.by_user.entry(Arc::clone(&sub)).or_default().insert(name);
        let entry = Entry {
            client_id,
            sub,
            expires_at,
            pace: Pace::new(interval),
            held: None,
        };
        self.requests.insert(name, entry);
    }

    fn remove(&mut self, name: &Name) -> Option<Entry> {
        let entry = self.requests.remove(name)?;
        if let Some(names) = self.by_user.get_mut(&entry.sub) {
            names.remove(name);
            if names.is_empty() {
                self.by_user.remove(&entry.sub);
            }
        }
        Some(entry)
    }
}

impl Held<'_> {
    /// Waits until the request was decided or is gone, at most so long.
    pub(super) async fn rung(&self, within: Duration) {
        let _ = tokio::time::timeout(within, self.bell.notified()).await;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.open.table().requests.get_mut(&self.name) {
            entry.held.take_if(|bell| Arc::ptr_eq(bell, &self.bell));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: config::CibaLimits = config::CibaLimits {
        requests_per_minute: 0,
        undecided_per_client: 2,
        undecided_per_user: 3,
        looks_per_minute: 0,
    };

    fn name(id: &str) -> Name {
        Name::of(id)
    }

    fn add(open: &Open, id: &str, client: &str, sub: &str) -> Result<(), TooMany> {
        open.add(name(id), (client, sub), 0..100, Duration::from_secs(5), &LIMITS)
    }

    #[test]
    fn c_405_undecided_requests_are_counted_for_client_and_user_and_for_user() {
        let open = Open::default();
        assert_eq!(add(&open, "1", "one", "alice"), Ok(()));
        assert_eq!(add(&open, "2", "one", "alice"), Ok(()));
        assert_eq!(add(&open, "3", "one", "alice"), Err(TooMany::ForUser));
        assert_eq!(add(&open, "3", "two", "alice"), Ok(()));
        assert_eq!(add(&open, "4", "three", "alice"), Err(TooMany::ForUser));
        assert_eq!(add(&open, "4", "one", "bob"), Ok(()));
        open.remove(&name("1"));
        assert_eq!(add(&open, "5", "one", "alice"), Ok(()));
        let off = config::CibaLimits {
            undecided_per_client: 0,
            undecided_per_user: 0,
            ..LIMITS
        };
        let more = open.add(name("6"), ("one", "alice"), 0..100, Duration::ZERO, &off);
        assert_eq!((more, open.of_user("alice").len()), (Ok(()), 4));
    }

    #[test]
    fn c_405_a_request_that_has_expired_counts_no_more_before_the_sweep() {
        let open = Open::default();
        let add = |id: &str, client: &str, life: Range<u64>| {
            open.add(name(id), (client, "alice"), life, Duration::ZERO, &LIMITS)
        };
        assert_eq!(add("1", "one", 0..1), Ok(()));
        assert_eq!(add("2", "one", 0..100), Ok(()));
        assert_eq!(add("3", "one", 0..100), Err(TooMany::ForUser));
        assert_eq!(add("3", "one", 1..100), Ok(()), "for its client");
        assert_eq!(add("4", "two", 1..100), Ok(()), "for its user");
        assert_eq!(add("5", "two", 1..100), Err(TooMany::ForUser));
    }

    #[test]
    fn c_423_open_requests_are_bounded_and_forgotten_in_their_second() {
        let open = Open::default();
        for n in 0..MAX_OPEN {
            add(&open, &n.to_string(), "one", &n.to_string()).unwrap();
        }
        assert_eq!(add(&open, "more", "one", "more"), Err(TooMany::AtAll));
        assert!(open.expire(99).is_empty());
        assert_eq!(open.expire(100).len(), MAX_OPEN);
        let table = open.table();
        assert!(table.requests.is_empty() && table.by_user.is_empty());
    }

    #[tokio::test]
    async fn c_277_one_poll_is_held_until_the_decision_and_a_second_is_told_to_slow_down() {
        let open = Open::default();
        add(&open, "1", "one", "alice").unwrap();
        let Ok(Some(held)) = open.poll(&name("1"), true) else {
            panic!("it is held");
        };
        assert!(open.poll(&name("1"), true).is_err());
        open.remove(&name("1"));
        held.rung(Duration::from_secs(60)).await;
        assert!(matches!(open.poll(&name("1"), true), Ok(None)));
    }

    #[tokio::test]
    async fn c_277_a_client_that_leaves_lets_go_of_its_poll() {
        let open = Open::default();
        add(&open, "1", "one", "alice").unwrap();
        drop(open.poll(&name("1"), true));
        assert!(open.table().requests[&name("1")].held.is_none());
    }
}

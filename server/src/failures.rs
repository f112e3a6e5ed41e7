//! Failed attempts to prove something, counted for each key: after too many within a while, no attempt is looked at. A
//! right guess that comes too often must not be let through, or the limit would limit nothing.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Keys with failures at once. When there are more, the failures of others are not counted: they cannot be told apart
/// from those that fill the table, and people and clients who fail nothing are not to suffer for it.
const REMEMBERED: usize = 100_000;

/// When each key failed, the oldest time first.
type Recent<K> = HashMap<K, VecDeque<Instant>>;

/// Recent failures, by key.
pub(crate) struct Failures<K> {
    most: usize,
    within: Duration,
    keys: Mutex<Recent<K>>,
}

impl<K: Eq + Hash> Failures<K> {
    /// Allows so many failures of each key in any such span of time.
    pub(crate) fn new(most: usize, within: Duration) -> Self {
        Self {
            most,
            within,
            keys: Mutex::default(),
        }
    }

    /// Whether one more attempt of this key may be looked at.
    ///
    /// # Errors
    ///
    /// There were too many failures: how long to wait.
    pub(crate) fn check(&self, key: &K, now: Instant) -> Result<(), Duration> {
        self.checked(&mut self.keys(), key, now)
    }

    /// Counts a failure.
    pub(crate) fn count(&self, key: K, now: Instant) {
        count(&mut self.keys(), key, now);
    }

    /// Counts an attempt as a failure until [`Self::succeeded`]. Where a guess is easy, attempts that come at the same time
    /// are to be limited as well.
    ///
    /// # Errors
    ///
    /// As of [`Self::check`].
    pub(crate) fn attempt(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut keys = self.keys();
        self.checked(&mut keys, &key, now)?;
        count(&mut keys, key, now);
        Ok(())
    }

    /// Takes back an attempt that was made at `began`: it was no failure.
    pub(crate) fn succeeded(&self, key: &K, began: Instant) {
        let mut keys = self.keys();
        let Some(failures) = keys.get_mut(key) else { return };
        if let Some(at) = failures.iter().position(|at| *at == began) {
            failures.remove(at);
        }
        if failures.is_empty() {
            keys.remove(key);
        }
    }

    /// Forgets the keys that have not failed lately.
    pub(crate) fn forget_quiet(&self, now: Instant) {
        let mut keys = self.keys();
        keys.retain(|_, failures| failures.back().is_some_and(|at| self.is_recent(*at, now)));
        keys.shrink_to_fit();
    }

    fn checked(&self, keys: &mut Recent<K>, key: &K, now: Instant) -> Result<(), Duration> {
        let Some(failures) = keys.get_mut(key) else {
            return Ok(());
        };
        failures.retain(|at| self.is_recent(*at, now));
        match failures.front() {
            Some(oldest) if failures.len() >= self.most => {
                Err(self.within.saturating_sub(now.saturating_duration_since(*oldest)))
            }
            _ => Ok(()),
        }
    }

    fn keys(&self) -> MutexGuard<'_, Recent<K>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_recent(&self, at: Instant, now: Instant) -> bool {
        now.saturating_duration_since(at) < self.within
    }
}

fn count<K: Eq + Hash>(keys: &mut Recent<K>, key: K, now: Instant) {
    if keys.len() < REMEMBERED || keys.contains_key(&key) {
        keys.entry(key).or_default().push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(60);

    fn later(began: Instant, seconds: u64) -> Instant {
        began + Duration::from_secs(seconds)
    }

    #[test]
    fn c_201_c_405_after_so_many_failures_no_attempt_is_looked_at_for_a_while() {
        let (failures, began) = (Failures::new(3, WITHIN), Instant::now());
        for second in [0, 10, 20] {
            assert_eq!(failures.attempt("alice", later(began, second)), Ok(()));
        }
        let wait = |seconds| Err(Duration::from_secs(seconds));
        assert_eq!(failures.attempt("alice", later(began, 20)), wait(40));
        assert_eq!(failures.attempt("alice", later(began, 59)), wait(1));
        assert_eq!(failures.attempt("bob", later(began, 20)), Ok(()));
        assert_eq!(failures.attempt("alice", later(began, 60)), Ok(()));
        assert_eq!(failures.attempt("alice", later(began, 61)), wait(9));
    }

    #[test]
    fn c_201_c_405_attempts_at_the_same_time_count_and_a_success_counts_nothing() {
        let (failures, now) = (Failures::new(2, WITHIN), Instant::now());
        assert_eq!(failures.attempt("alice", now), Ok(()));
        assert_eq!(failures.attempt("alice", now), Ok(()));
        assert!(failures.attempt("alice", now).is_err());
        failures.succeeded(&"alice", now);
        assert_eq!(failures.attempt("alice", now), Ok(()));
        assert!(failures.attempt("alice", now).is_err());
        for _ in 0..2 {
            failures.succeeded(&"alice", now);
        }
        assert!(failures.keys.lock().unwrap().is_empty());
    }

    #[test]
    fn c_201_c_405_the_keys_are_bounded_and_forgotten() {
        let (failures, now) = (Failures::new(1, WITHIN), Instant::now());
        for key in 0..=REMEMBERED {
            assert_eq!(failures.attempt(key, now), Ok(()));
        }
        assert_eq!(failures.keys.lock().unwrap().len(), REMEMBERED);
        assert!(failures.attempt(0, now).is_err());
        failures.forget_quiet(later(now, 59));
        assert_eq!(failures.keys.lock().unwrap().len(), REMEMBERED);
        failures.forget_quiet(later(now, 60));
        assert!(failures.keys.lock().unwrap().is_empty());
    }
}

//! A map whose entries expire and whose size has a limit. The provider keeps everything in such maps.

use std::collections::HashMap;
use std::hash::Hash;

/// Most entries of one map. Beyond it, the entry that would expire first gives way.
pub(super) const CAPACITY: usize = 10_000;

/// Values by key, each until a Unix second of its own.
pub(super) struct Expiring<K, V>(HashMap<K, Entry<V>>);

struct Entry<V> {
    value: V,
    expires: u64,
}

impl<K: Hash + Eq + Clone, V> Expiring<K, V> {
    /// Keeps `value` until the second `expires`, in place of what was there.
    pub(super) fn put(&mut self, key: K, value: V, expires: u64, now: u64) {
        if self.0.len() >= CAPACITY && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        self.0.insert(key, Entry { value, expires });
    }

    pub(super) fn get(&self, key: &K, now: u64) -> Option<&V> {
        self.0
            .get(key)
            .filter(|entry| entry.expires > now)
            .map(|entry| &entry.value)
    }

    /// Removes the value and returns it.
    pub(super) fn take(&mut self, key: &K, now: u64) -> Option<V> {
        self.0
            .remove(key)
            .filter(|entry| entry.expires > now)
            .map(|entry| entry.value)
    }

    fn make_room(&mut self, now: u64) {
        self.0.retain(|_, entry| entry.expires > now);
        if self.0.len() >= CAPACITY
            && let Some(oldest) = self
                .0
                .iter()
                .min_by_key(|(_, entry)| entry.expires)
                .map(|(key, _)| key.clone())
        {
            self.0.remove(&oldest);
        }
    }
}

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_gone_in_its_last_second() {
        let mut map = Expiring::default();
        map.put("key", 1, 10, 0);
        assert_eq!(map.get(&"key", 9), Some(&1));
        assert_eq!(map.get(&"key", 10), None);
        assert_eq!(map.take(&"key", 10), None);
    }

    #[test]
    fn a_full_map_drops_the_expired_first_and_then_the_oldest() {
        let mut map = Expiring::default();
        for key in 0..CAPACITY {
            map.put(key, (), 100 + key as u64, 0);
        }
        map.put(CAPACITY, (), 100_000, 0);
        assert_eq!(
            (map.0.len(), map.get(&0, 0), map.get(&1, 0)),
            (CAPACITY, None, Some(&()))
        );

        map.put(CAPACITY + 1, (), 100_000, 200);
        assert_eq!(map.0.len(), CAPACITY - 100 + 1);
    }
}

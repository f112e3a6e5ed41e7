//! Places for work on behalf of clients: so many at all, and so many of one client, so that a client whose work hangs holds up
//! no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places; a handle that is cheap to clone.
#[derive(Clone)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    of_one: usize,
    /// The own places of clients that have work.
    own: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
}

/// A place, until it is dropped.
pub(super) struct Place {
    _own: OwnedSemaphorePermit,
    _any: OwnedSemaphorePermit,
}

impl Places {
    /// So many places at all, and so many of one client.
    pub(super) fn new(all: usize, of_one: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            of_one,
            own: Arc::default(),
        }
    }

    /// Waits for a place. The client's own comes first: work that waits for that takes no place of others.
    pub(super) async fn take(&self, client_id: &str) -> Place {
        let own = self.own(client_id).acquire_owned().await;
        let any = Arc::clone(&self.all).acquire_owned().await;
        Place {
            _own: own.expect("it is never closed"),
            _any: any.expect("it is never closed"),
        }
    }

    /// Takes a place, if one is free.
    pub(super) fn try_take(&self, client_id: &str) -> Option<Place> {
        Some(Place {
            _own: self.own(client_id).try_acquire_owned().ok()?,
            _any: Arc::clone(&self.all).try_acquire_owned().ok()?,
        })
    }

    fn own(&self, client_id: &str) -> Arc<Semaphore> {
        let mut table = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = table.get(client_id).and_then(Weak::upgrade) {
            return own;
        }
        // Clients without work are forgotten before the table grows.
        if table.len() == table.capacity() {
            table.retain(|_, own| own.strong_count() > 0);
        }
        let own = Arc::new(Semaphore::new(self.of_one));
        table.insert(client_id.to_owned(), Arc::downgrade(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_client_takes_no_more_than_its_own_places_and_leaves_the_others_theirs() {
        let places = Places::new(3, 2);
        let [first, _second] = [(); 2].map(|()| places.try_take("one").unwrap());
        assert!(places.try_take("one").is_none());
        let waiting = places.take("one");
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        let _other = places.try_take("two").unwrap();
        assert!(places.try_take("two").is_none(), "there are three at all");
        drop(first);
        assert!(waiting.now_or_never().is_some());
    }

    #[test]
    fn a_client_without_work_is_forgotten() {
        let places = Places::new(2, 1);
        let kept = places.try_take("kept").unwrap();
        for n in 0..10_000 {
            places.try_take(&n.to_string()).unwrap();
        }
        assert!(places.own.lock().unwrap().len() < 100);
        assert!(places.try_take("kept").is_none());
        drop(kept);
    }
}

//! Many want the same at once: one asks for it, and those who came meanwhile take what was found (D-040).

use std::sync::Arc;
use std::time::Instant;

use device_proto::ResourceUrn;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Somebody's turn is over: when, and what was found.
type Last<T> = Option<(Instant, T)>;

/// What only one at a time may ask for. A handle that is cheap to clone.
pub(super) struct Turn<T>(Arc<Mutex<Last<T>>>);

/// It is one's turn.
pub(super) struct Mine<T>(OwnedMutexGuard<Last<T>>);

impl<T: Clone> Turn<T> {
    /// Waits for one's turn; or returns what was found since one came.
    pub(super) async fn take(&self, came: Instant) -> Result<Mine<T>, T> {
        let mine = self.take_anyway().await;
        match &*mine.0 {
            Some((at, found)) if *at >= came => Err(found.clone()),
            _ => Ok(mine),
        }
    }

    /// Waits for one's turn, whatever others found.
    pub(super) async fn take_anyway(&self) -> Mine<T> {
        Mine(Arc::clone(&self.0).lock_owned().await)
    }

    fn is_wanted(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl<T: Clone> Mine<T> {
    /// Ends the turn with what was found.
    pub(super) fn found(mut self, found: T) -> T {
        *self.0 = Some((Instant::now(), found.clone()));
        found
    }
}

impl<T> Default for Turn<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }
}

impl<T> Clone for Turn<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What a session asks the provider for.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum What {
    /// The login's own token.
    Grant,
    /// A resource's token.
    Token(ResourceUrn),
}

/// The turns of one session: those that somebody is in or waits for.
pub(super) struct Turns<T>(Vec<(What, Turn<T>)>);

impl<T: Clone> Turns<T> {
    /// Returns the turn for something.
    pub(super) fn of(&mut self, what: What) -> Turn<T> {
        self.0.retain(|(_, turn)| turn.is_wanted());
        if let Some((_, turn)) = self.0.iter().find(|(of, _)| *of == what) {
            return turn.clone();
        }
        let turn = Turn::default();
        self.0.push((what, turn.clone()));
        turn
    }
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(urn: &str) -> What {
        What::Token(urn.parse().unwrap())
    }

    #[tokio::test]
    async fn d_040_who_comes_meanwhile_takes_what_is_found_and_who_comes_later_asks_again() {
        let mut turns: Turns<u32> = Turns::default();
        let turn = turns.of(token("urn:d:x"));
        let mine = turn.take(Instant::now()).await.ok().unwrap();
        let (other, came) = (turns.of(token("urn:d:x")), Instant::now());
        let (waited, found) = tokio::join!(other.take(came), async { mine.found(7) });
        assert_eq!((waited.err(), found), (Some(7), 7));
        assert_eq!(turn.take(came).await.err(), Some(7), "who was held up elsewhere");
        assert!(turn.take(Instant::now()).await.is_ok());
    }

    #[tokio::test]
    async fn d_040_who_asked_for_nothing_found_nothing_for_others() {
        let turn: Turn<u32> = Turn::default();
        let mine = turn.take(Instant::now()).await.ok().unwrap();
        let (waited, ()) = tokio::join!(turn.take(Instant::now()), async { drop(mine) });
        assert!(waited.is_ok());
    }

    #[tokio::test]
    async fn another_resource_has_another_turn_and_none_is_kept_for_nobody() {
        let mut turns: Turns<u32> = Turns::default();
        let first = turns.of(token("urn:d:x")).take_anyway().await;
        drop(turns.of(What::Grant).take_anyway().await);
        drop(turns.of(token("urn:d:y")).take_anyway().await);
        assert_eq!(turns.0.len(), 2, "the one that is taken, and the last one");
        drop(first);
        turns.of(token("urn:d:z"));
        assert_eq!(turns.0.len(), 1);
    }
}

//! Coalesces concurrent requests for one thing (D-040): the first caller asks the provider, those who came meanwhile take
//! its result.

use std::sync::Arc;
use std::time::Instant;

use device_proto::ResourceUrn;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// When the last leader came to its result, and the result.
type Last<T> = Option<(Instant, T)>;

/// What only one caller at a time may ask for. A handle that is cheap to clone.
pub(super) struct SingleFlight<T>(Arc<Mutex<Last<T>>>);

/// The right to ask, until it is dropped.
pub(super) struct Leader<T>(OwnedMutexGuard<Last<T>>);

/// What a caller gets.
pub(super) enum Joined<T> {
    /// The caller has to ask.
    Leader(Leader<T>),
    /// Another caller has asked since this one came; its result.
    Result(T),
}

impl<T: Clone> SingleFlight<T> {
    /// Waits for a result since `came`, or for the right to ask.
    pub(super) async fn join(&self, came: Instant) -> Joined<T> {
        let leader = self.lead().await;
        match &*leader.0 {
            Some((at, result)) if *at >= came => Joined::Result(result.clone()),
            _ => Joined::Leader(leader),
        }
    }

    /// Waits for the right to ask, whatever others found.
    pub(super) async fn lead(&self) -> Leader<T> {
        Leader(Arc::clone(&self.0).lock_owned().await)
    }

    fn is_wanted(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl<T: Clone> Leader<T> {
    /// Gives the result to those who wait for it, and returns it.
    pub(super) fn land(mut self, result: T) -> T {
        *self.0 = Some((Instant::now(), result.clone()));
        result
    }
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }
}

impl<T> Clone for SingleFlight<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What a session asks the provider for.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The login's own token.
    Grant,
    /// A resource's token.
    Token(ResourceUrn),
}

/// The flights of one session that a caller leads or waits for.
pub(super) struct Flights<T>(Vec<(Wanted, SingleFlight<T>)>);

impl<T: Clone> Flights<T> {
    /// Returns the flight for something.
    pub(super) fn of(&mut self, wanted: Wanted) -> SingleFlight<T> {
        self.0.retain(|(_, flight)| flight.is_wanted());
        if let Some((_, flight)) = self.0.iter().find(|(of, _)| *of == wanted) {
            return flight.clone();
        }
        let flight = SingleFlight::default();
        self.0.push((wanted, flight.clone()));
        flight
    }
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(urn: &str) -> Wanted {
        Wanted::Token(urn.parse().unwrap())
    }

    impl<T> Joined<T> {
        fn leader(self) -> Option<Leader<T>> {
            match self {
                Self::Leader(leader) => Some(leader),
                Self::Result(_) => None,
            }
        }

        fn result(self) -> Option<T> {
            match self {
                Self::Leader(_) => None,
                Self::Result(result) => Some(result),
            }
        }
    }

    #[tokio::test]
    async fn d_040_who_comes_meanwhile_takes_what_is_found_and_who_comes_later_asks_again() {
        let mut flights: Flights<u32> = Flights::default();
        let flight = flights.of(token("urn:d:x"));
        let leader = flight.join(Instant::now()).await.leader().unwrap();
        let (other, came) = (flights.of(token("urn:d:x")), Instant::now());
        let (waited, landed) = tokio::join!(other.join(came), async { leader.land(7) });
        assert_eq!((waited.result(), landed), (Some(7), 7));
        assert_eq!(
            flight.join(came).await.result(),
            Some(7),
            "a caller that was held up elsewhere"
        );
        assert!(flight.join(Instant::now()).await.leader().is_some());
    }

    #[tokio::test]
    async fn d_040_who_asked_for_nothing_found_nothing_for_others() {
        let flight: SingleFlight<u32> = SingleFlight::default();
        let leader = flight.join(Instant::now()).await.leader().unwrap();
        let (waited, ()) = tokio::join!(flight.join(Instant::now()), async { drop(leader) });
        assert!(waited.leader().is_some());
    }

    #[tokio::test]
    async fn another_resource_has_another_flight_and_none_is_kept_for_nobody() {
        let mut flights: Flights<u32> = Flights::default();
        let first = flights.of(token("urn:d:x")).lead().await;
        drop(flights.of(Wanted::Grant).lead().await);
        drop(flights.of(token("urn:d:y")).lead().await);
        assert_eq!(flights.0.len(), 2, "the one that is led, and the last one");
        drop(first);
        flights.of(token("urn:d:z"));
        assert_eq!(flights.0.len(), 1);
    }
}

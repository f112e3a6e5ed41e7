//! Which tokens the server was asked for (D-040): one ask a resource at a time, which later clients join. Pure: the
//! caller sends, keeps the time and answers.

use std::collections::BTreeMap;
use std::time::Duration;

use device_proto::ResourceUrn;
use device_proto::ask::Ask;
use ipc_proto::Failure;
use tokio::time::Instant;

use crate::sync::Backoff;

/// How long an ask may take, a lost connection and its return included. Less than a client waits (30 s), so that it is
/// told the reason.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// Seconds by which a demand may exceed the one under way and still be the same. Clients count from the time at which
/// they ask, so the same demand grows while an ask is under way.
const SAME_DEMAND: u64 = DEADLINE.as_secs();

/// A client that waits for a token. The session's task knows how to answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WaiterId(pub(super) u64);

/// The asks under way, and the clients that wait for each.
#[derive(Default)]
pub(super) struct Flights {
    last_id: u64,
    by_resource: BTreeMap<ResourceUrn, Flight>,
}

struct Flight {
    id: String,
    /// When the token must not have ended yet, Unix seconds.
    until: u64,
    due: Instant,
    sent: Sent,
    pauses: Backoff,
    /// Why the server put it off the last time.
    trouble: Option<Failure>,
    waiters: Vec<WaiterId>,
}

/// Whether the server was asked.
pub(super) enum Sent {
    Yes,
    /// Not before this time.
    Not(Instant),
}

impl Sent {
    /// Returns whether it has to be sent at `now`, and notes that it is.
    pub(super) fn take_turn(&mut self, now: Instant) -> bool {
        let is_due = matches!(self, Self::Not(before) if *before <= now);
        if is_due {
            *self = Self::Yes;
        }
        is_due
    }

    /// Returns when it has to be sent, if that is later than `now`. What is due already waits for the connection, not
    /// for a time.
    pub(super) fn later_than(&self, now: Instant) -> Option<Instant> {
        match self {
            Self::Not(before) if *before > now => Some(*before),
            _ => None,
        }
    }
}

impl Flights {
    /// Asks for the resource's token, valid beyond `until` (Unix seconds). A renewal ahead of need has no waiter.
    ///
    /// A demand for a longer life than was asked for is a new ask for every waiter of the resource; the answer to the
    /// first one is ignored. The deadline stays the first one's, so that later demands do not put it off for ever.
    pub(super) fn join(&mut self, resource: ResourceUrn, until: u64, waiter: Option<WaiterId>, now: Instant) {
        let last_id = &mut self.last_id;
        let mut next_id = || {
            *last_id += 1;
            last_id.to_string()
        };
        let flight = self.by_resource.entry(resource).or_insert_with(|| Flight {
            id: next_id(),
            until,
            due: now + DEADLINE,
            sent: Sent::Not(now),
            pauses: Backoff::default(),
            trouble: None,
            waiters: Vec::new(),
        });
        if until > flight.until.saturating_add(SAME_DEMAND) {
            (flight.id, flight.until, flight.sent) = (next_id(), until, Sent::Not(now));
        }
        flight.waiters.extend(waiter);
    }

    /// Returns what has to be sent at `now`, while the connection stands. `unix` is the same time in seconds.
    pub(super) fn unsent(&mut self, now: Instant, unix: u64) -> Vec<Ask> {
        let flights = self.by_resource.iter_mut();
        let due = flights.filter_map(|(resource, flight)| {
            flight.sent.take_turn(now).then(|| Ask::Token {
                id: flight.id.clone(),
                resource: resource.clone(),
                min_valid: Some(flight.until.saturating_sub(unix)),
            })
        });
        due.collect()
    }

    /// The connection is gone: what was sent over it is to be sent again.
    pub(super) fn connection_lost(&mut self, now: Instant) {
        for flight in self.by_resource.values_mut() {
            flight.sent = Sent::Not(now);
        }
    }

    /// The ask with this id cannot be answered just now (D-042): it will be asked again, after a pause that grows
    /// and of which `chance` takes a part (uniform in 0..1).
    pub(super) fn put_off(&mut self, id: &str, trouble: Failure, now: Instant, chance: f64) {
        let mut flights = self.by_resource.values_mut();
        if let Some(flight) = flights.find(|flight| flight.id == id) {
            flight.sent = Sent::Not(now + flight.pauses.after(Duration::ZERO, chance));
            flight.trouble = Some(trouble);
        }
    }

    /// Ends the ask with this id, which was answered. Returns its resource and its waiters.
    pub(super) fn answered(&mut self, id: &str) -> Option<(ResourceUrn, Vec<WaiterId>)> {
        let mut found = self.by_resource.extract_if(.., |_, flight| flight.id == id);
        found.next().map(|(resource, flight)| (resource, flight.waiters))
    }

    /// Ends the asks that a new token has answered, whether it was asked for or not. `lasts` says whether the token is of
    /// the resource and valid beyond a time.
    pub(super) fn satisfied(&mut self, lasts: impl Fn(&ResourceUrn, u64) -> bool) -> Vec<WaiterId> {
        self.end(|resource, flight| lasts(resource, flight.until))
    }

    /// Ends the asks whose deadline has passed. Returns their waiters, each with the reason if the server gave one.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(WaiterId, Option<Failure>)> {
        let overdue = self.by_resource.extract_if(.., |_, flight| flight.due <= now);
        let waiting = overdue.flat_map(|(_, flight)| {
            let trouble = flight.trouble;
            flight
                .waiters
                .into_iter()
                .map(move |waiter| (waiter, trouble.clone()))
        });
        waiting.collect()
    }

    /// Ends all asks.
    pub(super) fn all(&mut self) -> Vec<WaiterId> {
        self.end(|_, _| true)
    }

    /// Returns when [`Flights::overdue`] wants to be called, or [`Flights::unsent`] again.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let next = |flight: &Flight| {
            let later = flight.sent.later_than(now);
            later.map_or(flight.due, |later| later.min(flight.due))
        };
        self.by_resource.values().map(next).min()
    }

    /// Whether no client waits.
    #[cfg(test)]
    pub(super) fn are_unwaited(&self) -> bool {
        self.by_resource.values().all(|flight| flight.waiters.is_empty())
    }

    fn end(&mut self, ends: impl Fn(&ResourceUrn, &Flight) -> bool) -> Vec<WaiterId> {
        let ended = self
            .by_resource
            .extract_if(.., |resource, flight| ends(resource, flight));
        ended.flat_map(|(_, flight)| flight.waiters).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: WaiterId = WaiterId(1);
    const TWO: WaiterId = WaiterId(2);
    const THREE: WaiterId = WaiterId(3);

    fn urn(name: &str) -> ResourceUrn {
        format!("urn:d:{name}").parse().unwrap()
    }

    #[test]
    fn d_040_later_askers_join_the_first() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        flights.join(urn("x"), 160, Some(ONE), now);
        flights.join(urn("x"), 130, Some(TWO), now);
        flights.join(urn("y"), 100, Some(THREE), now);
        let asks = flights.unsent(now, 100);
        let [
            Ask::Token {
                id,
                resource,
                min_valid,
            },
            Ask::Token { .. },
        ] = &asks[..]
        else {
            panic!("one ask a resource")
        };
        assert_eq!((resource, *min_valid), (&urn("x"), Some(60)));
        assert_eq!(flights.unsent(now, 100), [], "sent once");
        assert_eq!(flights.answered(id), Some((urn("x"), vec![ONE, TWO])));
        assert_eq!(flights.answered(id), None, "answered once");
        flights.join(urn("x"), 200, Some(WaiterId(4)), now);
        let Ask::Token { id: next, .. } = &flights.unsent(now, 100)[0] else {
            panic!()
        };
        assert_ne!(next, id, "an old answer is never taken for a new one");
    }

    #[test]
    fn d_040_a_larger_demand_is_asked_anew_for_all() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        flights.join(urn("x"), 160, Some(ONE), now);
        let first = flights.unsent(now, 100);
        flights.join(urn("x"), 160 + SAME_DEMAND, Some(TWO), now);
        assert_eq!(flights.unsent(now, 100), []);
        flights.join(urn("x"), 3_700, Some(THREE), now + Duration::from_secs(1));
        let second = flights.unsent(now + Duration::from_secs(1), 100);
        assert!(matches!(
            &second[..],
            [Ask::Token {
                min_valid: Some(3_600),
                ..
            }]
        ));
        assert_eq!(flights.next_due(now), Some(now + DEADLINE));
        assert_eq!(flights.answered(first[0].id()), None);
        let (_, waiters) = flights.answered(second[0].id()).unwrap();
        assert_eq!(waiters, [ONE, TWO, THREE]);
    }

    #[test]
    fn what_was_asked_of_a_lost_connection_is_asked_again() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        flights.join(urn("x"), 160, Some(ONE), now);
        let first = flights.unsent(now, 100);
        flights.connection_lost(now);
        assert_eq!(flights.unsent(now, 100), first);
    }

    #[test]
    fn d_042_what_is_put_off_is_asked_again_after_growing_pauses_under_one_deadline() {
        let (mut flights, began) = (Flights::default(), Instant::now());
        flights.join(urn("x"), 160, Some(ONE), began);
        let trouble = Failure::new(ipc_proto::ErrorCode::ServerUnreachable, "the provider is away");
        let (mut now, mut pauses) = (began, Vec::new());
        for _ in 0..4 {
            let asks = flights.unsent(now, 100);
            flights.put_off(asks[0].id(), trouble.clone(), now, 1.0);
            assert_eq!(flights.unsent(now, 100), [], "not at once");
            let next = flights.next_due(now).unwrap();
            pauses.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(pauses, [250, 500, 1_000, 2_000]);
        assert_eq!(flights.overdue(began + DEADLINE), [(ONE, Some(trouble))]);
    }

    #[test]
    fn an_ask_ends_after_its_deadline() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        flights.join(urn("x"), 160, Some(ONE), now);
        assert_eq!(flights.next_due(now), Some(now + DEADLINE));
        assert!(
            flights
                .overdue(now + DEADLINE - Duration::from_millis(1))
                .is_empty()
        );
        assert_eq!(flights.overdue(now + DEADLINE).len(), 1);
        assert!(flights.are_unwaited());
        assert_eq!(flights.next_due(now), None);
    }

    #[test]
    fn a_token_that_came_unasked_answers_too() {
        let mut flights = Flights::default();
        flights.join(urn("x"), 160, Some(ONE), Instant::now());
        flights.join(urn("y"), 160, Some(TWO), Instant::now());
        assert_eq!(
            flights.satisfied(|resource, until| *resource == urn("x") && until == 160),
            [ONE]
        );
        assert_eq!(flights.all(), [TWO]);
    }
}

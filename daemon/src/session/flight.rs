//! Which tokens the server was asked for (D-040): one ask a resource at a time, later askers join the first. Pure:
//! the caller sends, keeps the time and answers.

use std::collections::BTreeMap;
use std::time::Duration;

use device_proto::ResourceUrn;
use device_proto::ask::Ask;
use tokio::time::Instant;

/// How long an ask may take, a lost connection and its return included. Less than any client's patience (30 s):
/// it hears the reason.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

/// Seconds by which one demand may be larger than another and still be the same: what is wanted is counted from
/// the time of asking, and goes on while an ask is under way.
const SAME_DEMAND: u64 = DEADLINE.as_secs();

/// The asks under way, and who waits for each.
pub(super) struct Flights<W> {
    last_id: u64,
    by_resource: BTreeMap<ResourceUrn, Flight<W>>,
}

struct Flight<W> {
    id: String,
    /// When the token must not have ended yet, Unix seconds.
    until: u64,
    due: Instant,
    is_sent: bool,
    waiters: Vec<W>,
}

impl<W> Default for Flights<W> {
    fn default() -> Self {
        Self {
            last_id: 0,
            by_resource: BTreeMap::new(),
        }
    }
}

impl<W> Flights<W> {
    /// Somebody wants the resource's token, valid beyond `until` (Unix seconds).
    ///
    /// Who wants more than was asked for has it asked anew, for all: the first ask's answer is then nobody's. By
    /// when that has to be done stays, so that no row of askers keeps the first one waiting.
    pub(super) fn join(&mut self, resource: ResourceUrn, until: u64, waiter: W, now: Instant) {
        let last_id = &mut self.last_id;
        let mut next_id = || {
            *last_id += 1;
            last_id.to_string()
        };
        let flight = self.by_resource.entry(resource).or_insert_with(|| Flight {
            id: next_id(),
            until,
            due: now + DEADLINE,
            is_sent: false,
            waiters: Vec::new(),
        });
        if until > flight.until.saturating_add(SAME_DEMAND) {
            (flight.id, flight.until, flight.is_sent) = (next_id(), until, false);
        }
        flight.waiters.push(waiter);
    }

    /// Returns what has to be sent now that the connection stands. `unix` is the time in seconds.
    pub(super) fn unsent(&mut self, unix: u64) -> Vec<Ask> {
        let waiting = self.by_resource.iter_mut().filter(|(_, flight)| !flight.is_sent);
        waiting
            .map(|(resource, flight)| {
                flight.is_sent = true;
                Ask::Token {
                    id: flight.id.clone(),
                    resource: resource.clone(),
                    min_valid: Some(flight.until.saturating_sub(unix)),
                }
            })
            .collect()
    }

    /// The connection is gone: what was sent over it is to be sent again.
    pub(super) fn connection_lost(&mut self) {
        for flight in self.by_resource.values_mut() {
            flight.is_sent = false;
        }
    }

    /// The ask with this id was answered. Returns who waited for which resource.
    pub(super) fn answered(&mut self, id: &str) -> Option<(ResourceUrn, Vec<W>)> {
        let mut found = self.by_resource.extract_if(.., |_, flight| flight.id == id);
        found.next().map(|(resource, flight)| (resource, flight.waiters))
    }

    /// Ends the asks that a token which came unasked has answered. `lasts` says whether the table holds a
    /// token of the resource that is valid beyond a time.
    pub(super) fn satisfied(&mut self, lasts: impl Fn(&ResourceUrn, u64) -> bool) -> Vec<W> {
        self.end(|resource, flight| lasts(resource, flight.until))
    }

    /// Ends the asks whose time is over.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<W> {
        self.end(|_, flight| flight.due <= now)
    }

    /// Ends all asks.
    pub(super) fn all(&mut self) -> Vec<W> {
        self.end(|_, _| true)
    }

    /// Returns when [`Flights::overdue`] wants to be called.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_resource.values().map(|flight| flight.due).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_resource.is_empty()
    }

    fn end(&mut self, ends: impl Fn(&ResourceUrn, &Flight<W>) -> bool) -> Vec<W> {
        let ended = self
            .by_resource
            .extract_if(.., |resource, flight| ends(resource, flight));
        ended.flat_map(|(_, flight)| flight.waiters).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urn(name: &str) -> ResourceUrn {
        format!("urn:d:{name}").parse().unwrap()
    }

    #[test]
    fn d_040_later_askers_join_the_first() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        flights.join(urn("x"), 160, "one", now);
        flights.join(urn("x"), 130, "two", now);
        flights.join(urn("y"), 100, "three", now);
        let asks = flights.unsent(100);
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
        assert_eq!(flights.unsent(100), [], "sent once");
        assert_eq!(flights.answered(id), Some((urn("x"), vec!["one", "two"])));
        assert_eq!(flights.answered(id), None, "answered once");
        flights.join(urn("x"), 200, "four", now);
        let Ask::Token { id: next, .. } = &flights.unsent(100)[0] else {
            panic!()
        };
        assert_ne!(next, id, "an old answer is never taken for a new one");
    }

    #[test]
    fn d_040_a_larger_demand_is_asked_anew_for_all() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        flights.join(urn("x"), 160, "small", now);
        let first = flights.unsent(100);
        flights.join(urn("x"), 160 + SAME_DEMAND, "same, later", now);
        assert_eq!(flights.unsent(100), []);
        flights.join(urn("x"), 3_700, "large", now + Duration::from_secs(1));
        let second = flights.unsent(100);
        assert!(matches!(
            &second[..],
            [Ask::Token {
                min_valid: Some(3_600),
                ..
            }]
        ));
        assert_eq!(flights.next_due(), Some(now + DEADLINE));
        assert_eq!(flights.answered(first[0].id()), None);
        let (_, waiters) = flights.answered(second[0].id()).unwrap();
        assert_eq!(waiters, ["small", "same, later", "large"]);
    }

    #[test]
    fn what_was_asked_of_a_lost_connection_is_asked_again() {
        let mut flights = Flights::default();
        flights.join(urn("x"), 160, (), Instant::now());
        let first = flights.unsent(100);
        flights.connection_lost();
        assert_eq!(flights.unsent(100), first);
    }

    #[test]
    fn an_ask_ends_after_its_deadline() {
        let (mut flights, now) = (Flights::default(), Instant::now());
        flights.join(urn("x"), 160, (), now);
        assert_eq!(flights.next_due(), Some(now + DEADLINE));
        assert!(
            flights
                .overdue(now + DEADLINE - Duration::from_millis(1))
                .is_empty()
        );
        assert_eq!(flights.overdue(now + DEADLINE).len(), 1);
        assert!(flights.is_empty());
        assert_eq!(flights.next_due(), None);
    }

    #[test]
    fn a_token_that_came_unasked_answers_too() {
        let mut flights = Flights::default();
        flights.join(urn("x"), 160, "x", Instant::now());
        flights.join(urn("y"), 160, "y", Instant::now());
        assert_eq!(
            flights.satisfied(|resource, until| *resource == urn("x") && until == 160),
            ["x"]
        );
        assert_eq!(flights.all(), ["y"]);
    }
}

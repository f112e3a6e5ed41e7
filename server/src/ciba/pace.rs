//! How fast one request may be polled (C-269, C-275). Decided without a clock: the time is an argument.

use std::time::{Duration, Instant};

/// By how much the interval grows when a client polls too soon (CIBA Core §11).
const GROWTH: Duration = Duration::from_secs(5);

/// The longest that it grows to.
const LONGEST: Duration = Duration::from_secs(60);

/// How much too soon is still in time: clients and networks have clocks and delays of their own.
const TOLERANCE: Duration = Duration::from_millis(250);

/// The pace of one request's polls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    interval: Duration,
    last: Option<Instant>,
}

/// The client polls too soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooSoon;

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, last: None }
    }

    /// Takes a poll of a pending request. One that comes too soon makes the interval longer, and the next one is measured
    /// from it.
    pub(super) fn poll(&mut self, now: Instant) -> Result<(), TooSoon> {
        let since = self
            .last
            .replace(now)
            .map(|last| now.saturating_duration_since(last));
        if since.is_none_or(|since| since + TOLERANCE >= self.interval) {
            return Ok(());
        }
        self.interval = LONGEST.min(self.interval + GROWTH).max(self.interval);
        Err(TooSoon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls at these milliseconds; returns which were in time.
    fn polled(interval: u64, at: &[u64]) -> Vec<bool> {
        let began = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(interval));
        let polls = at
            .iter()
            .map(|millis| pace.poll(began + Duration::from_millis(*millis)).is_ok());
        polls.collect()
    }

    #[test]
    fn c_270_the_first_poll_may_come_at_once() {
        assert_eq!(polled(5, &[0]), [true]);
    }

    #[test]
    fn c_269_each_poll_that_is_too_soon_makes_the_interval_five_seconds_longer() {
        assert_eq!(polled(5, &[0, 1_000, 10_999, 21_000]), [true, false, true, true]);
        assert_eq!(
            polled(5, &[0, 1_000, 2_000, 16_000, 35_000]),
            [true, false, false, false, false]
        );
    }

    #[test]
    fn c_269_the_interval_grows_to_a_minute_and_never_shrinks() {
        let hurried: Vec<_> = (0..20).collect();
        let mut at = hurried;
        at.push(19 + 59_000);
        at.push(19 + 59_000 + 60_000);
        let polls = polled(5, &at);
        assert_eq!(polls[20..], [false, true]);
        assert_eq!(polled(60, &[0, 1, 60_001, 120_001]), [true, false, true, true]);
    }

    #[test]
    fn c_275_a_client_that_keeps_to_the_interval_is_never_too_soon() {
        assert_eq!(polled(5, &[5_000, 9_800, 14_600, 19_400]), [true; 4]);
        assert_eq!(polled(5, &[0, 4_749]), [true, false]);
        assert_eq!(polled(5, &[0, 4_750]), [true, true]);
    }
}

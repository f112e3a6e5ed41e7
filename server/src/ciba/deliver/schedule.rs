//! When a client that could not be told is tried again (C-331 … C-334, C-364). Decided without I/O and without a clock.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use http::StatusCode;

/// How one try ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// The client answered: with which status, and how long it asks to wait (`Retry-After`).
    Answered(StatusCode, Option<Duration>),
    /// No answer in time, or the network failed.
    Unreached,
    /// Our own rules forbid the call (C-400, C-402).
    Forbidden,
}

/// What comes after a try.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The client knows.
    Done,
    /// The client will not be told.
    Final,
    /// Another try after this time.
    Again(Duration),
}

/// The tries of one delivery.
pub(super) struct Schedule(ExponentialBackoff);

impl Schedule {
    /// So many tries after the first: after `first`, twice `first`, and so on.
    pub(super) fn new(retries: u64, first: Duration) -> Self {
        let waits = ExponentialBuilder::new()
            .with_min_delay(first)
            .with_factor(2.0)
            .without_max_delay()
            .with_max_times(usize::try_from(retries).unwrap_or(usize::MAX));
        Self(waits.build())
    }

    /// Decides after a try; `left` is what is left of the request's life.
    pub(super) fn next(&mut self, outcome: Outcome, left: Duration) -> Next {
        let asked = match outcome {
            Outcome::Answered(status, _) if status.is_success() => return Next::Done,
            Outcome::Answered(status, asked) if is_temporary(status) => asked.unwrap_or_default(),
            Outcome::Answered(..) | Outcome::Forbidden => return Next::Final,
            Outcome::Unreached => Duration::ZERO,
        };
        match self.0.next() {
            Some(wait) if asked <= wait => Next::Again(wait),
            // Earlier than asked is not polite, and later than the request lives is of no use.
            Some(_) if asked <= left => Next::Again(asked),
            Some(_) | None => Next::Final,
        }
    }
}

/// Whether a later try may go better (C-333).
fn is_temporary(status: StatusCode) -> bool {
    let exceptions = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_server_error() || exceptions.contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(300);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn answered(status: u16) -> Outcome {
        Outcome::Answered(StatusCode::from_u16(status).unwrap(), None)
    }

    fn first(outcome: Outcome) -> Next {
        Schedule::new(3, seconds(1)).next(outcome, LONG)
    }

    #[test]
    fn c_331_c_332_c_333_every_status_is_success_final_or_temporary() {
        for status in 100..=599 {
            let expected = match status {
                200..=299 => Next::Done,
                408 | 425 | 429 | 500..=599 => Next::Again(seconds(1)),
                _ => Next::Final,
            };
            assert_eq!(first(answered(status)), expected, "{status}");
        }
        assert_eq!(first(Outcome::Unreached), Next::Again(seconds(1)));
        assert_eq!(first(Outcome::Forbidden), Next::Final);
    }

    #[test]
    fn c_334_c_364_the_waits_double_and_end() {
        for (retries, waits) in [
            (0, &[][..]),
            (2, &[1, 2]),
            (3, &[1, 2, 4]),
            (6, &[1, 2, 4, 8, 16, 32]),
        ] {
            let mut schedule = Schedule::new(retries, seconds(1));
            for &wait in waits {
                let next = schedule.next(Outcome::Unreached, LONG);
                assert_eq!(next, Next::Again(seconds(wait)), "{retries}");
            }
            assert_eq!(schedule.next(answered(503), LONG), Next::Final);
        }
    }

    #[test]
    fn c_333_retry_after_is_kept_to_within_the_requests_life() {
        for status in [408, 425, 429, 503] {
            for (asked, left, expected) in [
                (0, 300, Next::Again(seconds(1))),
                (1, 300, Next::Again(seconds(1))),
                (30, 300, Next::Again(seconds(30))),
                (30, 30, Next::Again(seconds(30))),
                (30, 29, Next::Final),
                (u64::MAX, 300, Next::Final),
                (1, 0, Next::Again(seconds(1))),
            ] {
                let outcome = Outcome::Answered(StatusCode::from_u16(status).unwrap(), Some(seconds(asked)));
                let next = Schedule::new(1, seconds(1)).next(outcome, seconds(left));
                assert_eq!(next, expected, "{status}, {asked} asked, {left} left");
            }
        }
    }

    #[test]
    fn c_333_a_status_that_is_final_has_no_use_for_retry_after() {
        let outcome = Outcome::Answered(StatusCode::UNAUTHORIZED, Some(seconds(1)));
        assert_eq!(first(outcome), Next::Final);
    }
}

//! When to ask the provider next, and when to give up: the pure course of one request, `(state, answer, time)` to the next
//! moment. Never sooner than the interval, which counts from the last answer; a ping alone makes one question come at once.

use std::time::Duration;

use tokio::time::Instant;

use super::acknowledgement::Acknowledgement;
use crate::backoff::Doubling;

/// What `slow_down` adds to the interval (CIBA Core §11).
const SLOWER: Duration = Duration::from_secs(5);

/// The longest pause after failures, unless the interval is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Between two questions while a ping may come.
const WITHOUT_PING: Duration = Duration::from_secs(30);

/// How far a request is.
pub(super) struct Course {
    interval: Duration,
    /// When the provider said that it lapses, by this machine's clock.
    lapses: Instant,
    /// Pauses after failures in a row.
    pauses: Option<Doubling>,
    may_be_pinged: bool,
}

/// An answer that is no end.
#[derive(Clone, Copy)]
pub(super) enum Undecided {
    /// `authorization_pending`.
    Pending,
    /// `slow_down`.
    SlowDown,
    /// No answer, or one that says that the provider is in trouble.
    Trouble {
        /// How long the provider wants to be left alone.
        retry_after: Option<Duration>,
    },
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    AskAt(Instant),
    GiveUp,
}

impl Course {
    /// Begins when the acknowledgement arrives.
    pub(super) fn begin(acknowledgement: &Acknowledgement, may_be_pinged: bool, now: Instant) -> Self {
        Self {
            interval: acknowledgement.interval,
            lapses: now + acknowledgement.expires_in,
            pauses: None,
            may_be_pinged,
        }
    }

    /// Returns when to ask for the first time.
    pub(super) fn first(&self, now: Instant) -> Next {
        self.after(self.usual_pause(), now)
    }

    /// Takes an answer.
    pub(super) fn undecided(&mut self, answer: Undecided, now: Instant) -> Next {
        let pause = match answer {
            Undecided::Pending => {
                self.pauses = None;
                self.usual_pause()
            }
            Undecided::SlowDown => {
                self.pauses = None;
                self.interval += SLOWER;
                self.usual_pause()
            }
            Undecided::Trouble { retry_after } => {
                let first = self.interval;
                let longest = LONGEST_PAUSE.max(first);
                let pauses = self.pauses.get_or_insert_with(|| Doubling::new(first, longest));
                pauses.next().max(retry_after.unwrap_or_default())
            }
        };
        self.after(pause, now)
    }

    /// Takes a ping: the request is decided, and the answer is there. One ping does so; what comes after it is polling.
    pub(super) fn pinged(&mut self, now: Instant) -> Next {
        self.may_be_pinged = false;
        Next::AskAt(now)
    }

    /// Whether the request is at its end.
    pub(super) fn has_lapsed(&self, now: Instant) -> bool {
        now >= self.lapses
    }

    /// Whether a ping would change anything.
    pub(super) fn may_be_pinged(&self) -> bool {
        self.may_be_pinged
    }

    fn usual_pause(&self) -> Duration {
        if self.may_be_pinged {
            self.interval.max(WITHOUT_PING)
        } else {
            self.interval
        }
    }

    /// One question may come after the end: the provider's clock decides, and a decision of the last moment counts.
    fn after(&self, pause: Duration, now: Instant) -> Next {
        let at = now + pause;
        if self.has_lapsed(now) {
            Next::GiveUp
        } else {
            Next::AskAt(at.min(self.lapses.max(now + self.interval)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PENDING: Undecided = Undecided::Pending;
    const SLOW: Undecided = Undecided::SlowDown;
    const DOWN: Undecided = Undecided::Trouble { retry_after: None };
    const LATER: Undecided = Undecided::Trouble {
        retry_after: Some(Duration::from_secs(42)),
    };

    /// A course, and the moment it began.
    fn course(expires_in: u64, interval: u64, may_be_pinged: bool) -> (Course, Instant) {
        let body = format!(r#"{{"auth_req_id":"a","expires_in":{expires_in},"interval":{interval}}}"#);
        let acknowledgement = Acknowledgement::read(body.as_bytes()).unwrap();
        let began = Instant::now();
        (Course::begin(&acknowledgement, may_be_pinged, began), began)
    }

    /// Returns the seconds at which is asked, when each question is answered as the table says after `held` seconds.
    fn asked(mut course: Course, began: Instant, held: u64, answers: &[Undecided]) -> (Vec<u64>, bool) {
        let (mut times, mut next) = (Vec::new(), course.first(began));
        for answer in answers {
            let Next::AskAt(at) = next else { break };
            times.push((at - began).as_secs());
            next = course.undecided(*answer, at + Duration::from_secs(held));
        }
        (times, next == Next::GiveUp)
    }

    #[test]
    fn the_interval_is_kept_and_slow_down_makes_it_longer_for_good() {
        let table: &[(&[Undecided], &[u64])] = &[
            (&[PENDING; 4], &[5, 10, 15, 20]),
            (&[PENDING, SLOW, PENDING, SLOW, PENDING], &[5, 10, 20, 30, 45]),
            (&[SLOW, SLOW, SLOW], &[5, 15, 30]),
            (
                &[DOWN, DOWN, DOWN, DOWN, DOWN, DOWN, DOWN],
                &[5, 10, 20, 40, 80, 140, 200],
            ),
            (&[DOWN, DOWN, PENDING, DOWN, PENDING], &[5, 10, 20, 25, 30]),
            (&[LATER, PENDING, PENDING], &[5, 47, 52]),
            (&[SLOW, DOWN, DOWN, PENDING], &[5, 15, 25, 45]),
        ];
        for (answers, expected) in table {
            let (course, began) = course(3600, 5, false);
            assert_eq!(asked(course, began, 0, answers).0, *expected);
        }
    }

    #[test]
    fn a_provider_that_holds_the_question_is_asked_again_an_interval_after_its_answer() {
        let (course, began) = course(3600, 5, false);
        assert_eq!(asked(course, began, 60, &[PENDING; 3]).0, [5, 70, 135]);
    }

    #[test]
    fn the_last_question_comes_at_the_end_and_not_sooner_than_the_interval() {
        for (expires_in, interval, expected) in [
            (12, 5, [5, 10, 15].as_slice()),
            (10, 5, &[5, 10]),
            (2, 5, &[5]),
            (20, 300, &[300]),
        ] {
            let (course, began) = course(expires_in, interval, false);
            let (times, gave_up) = asked(course, began, 0, &[PENDING; 9]);
            assert_eq!(
                (times.as_slice(), gave_up),
                (expected, true),
                "{expires_in} {interval}"
            );
        }
        // A long pause is cut where the request ends.
        let (course, began) = course(20, 5, false);
        let (times, gave_up) = asked(course, began, 0, &[LATER, PENDING, PENDING]);
        assert_eq!((times.as_slice(), gave_up), ([5, 20].as_slice(), true));
    }

    #[test]
    fn while_a_ping_may_come_the_provider_is_rarely_asked() {
        let (course, began) = course(100, 5, true);
        assert_eq!(asked(course, began, 0, &[PENDING; 9]).0, [30, 60, 90, 100]);
        let (course, began) = self::course(100, 40, true);
        assert_eq!(asked(course, began, 0, &[PENDING; 9]).0, [40, 80, 120]);
    }

    #[test]
    fn one_ping_makes_one_question_come_at_once() {
        let (mut course, began) = course(100, 5, true);
        let now = began + Duration::from_secs(3);
        assert_eq!(course.pinged(now), Next::AskAt(now));
        assert!(!course.may_be_pinged());
        let after = course.undecided(PENDING, now);
        assert_eq!(after, Next::AskAt(now + Duration::from_secs(5)));
    }
}

//! When something that failed is tried again (D-042, D-050): exponential, full jitter, and forgotten after a good minute.

use std::time::Duration;

use crate::backoff::Doubling;

/// The most that is waited after the first failure.
const FIRST: Duration = Duration::from_millis(250);

/// The most that is ever waited.
const LONGEST: Duration = Duration::from_secs(30);

/// How long a connection must have stood to count as a good one.
const GOOD: Duration = Duration::from_secs(60);

/// How long the next attempt waits.
pub(crate) struct Backoff(Doubling);

impl Default for Backoff {
    fn default() -> Self {
        Self(Doubling::new(FIRST, LONGEST))
    }
}

impl Backoff {
    /// Returns the pause after a connection that stood for `stood` (zero when it never did). `chance` is
    /// uniform in 0..1: a thousand devices that lost the same server come back spread out.
    pub(crate) fn after(&mut self, stood: Duration, chance: f64) -> Duration {
        if stood >= GOOD {
            *self = Self::default();
        }
        self.0.next().mul_f64(chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_050_pauses_double_from_a_quarter_second_to_thirty() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..10)
            .map(|_| backoff.after(Duration::ZERO, 1.0).as_millis())
            .collect();
        assert_eq!(
            pauses,
            [
                250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000
            ]
        );
    }

    #[test]
    fn d_050_jitter_is_full() {
        assert_eq!(Backoff::default().after(Duration::ZERO, 0.0), Duration::ZERO);
        let mut backoff = Backoff::default();
        let _ = backoff.after(Duration::ZERO, 0.9);
        assert_eq!(
            backoff.after(Duration::ZERO, 0.5),
            FIRST,
            "half of the second pause"
        );
    }

    #[test]
    fn d_050_only_a_good_minute_forgets_the_failures() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            let _ = backoff.after(Duration::ZERO, 1.0);
        }
        let flapping = backoff.after(GOOD - Duration::from_millis(1), 1.0);
        assert_eq!(flapping, Duration::from_secs(8));
        assert_eq!(backoff.after(GOOD, 1.0), FIRST);
    }
}

//! Random moments that can be had again: the test names the seed, which a failed run has printed.

use std::time::Duration;

use fastrand::Rng;

/// Names the seed of an earlier run.
const SEED: &str = "CIBA_TEST_SEED";

/// A source of random moments.
pub struct Chance(Rng);

impl Chance {
    /// Begins with a new seed, or with the one that the environment names.
    ///
    /// # Panics
    /// If that is no number.
    pub fn drawn() -> Self {
        let given = std::env::var(SEED).ok();
        let seed = given.map_or_else(|| fastrand::u64(..), |text| text.parse().expect("a number"));
        eprintln!("the same moments again: {SEED}={seed}");
        Self(Rng::with_seed(seed))
    }

    /// Returns a moment that is at most that far away.
    pub fn within(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.0.f64())
    }

    /// Returns one of them.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(..choices.len())]
    }
}

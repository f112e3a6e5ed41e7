//! Percentiles of durations.

use std::time::Duration;

/// Durations in order.
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    /// Sorts the samples; `None` when there are none.
    pub(crate) fn new(mut samples: Vec<Duration>) -> Option<Self> {
        samples.sort_unstable();
        (!samples.is_empty()).then_some(Self(samples))
    }

    /// The nearest-rank percentile: the smallest sample that `percent` of all do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0[rank.clamp(1, self.0.len()) - 1]
    }

    pub(crate) fn median(&self) -> Duration {
        self.percentile(50)
    }

    pub(crate) fn min(&self) -> Duration {
        self.0[0]
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(millis: impl IntoIterator<Item = u64>) -> Samples {
        Samples::new(millis.into_iter().map(Duration::from_millis).collect()).unwrap()
    }

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let hundred = samples((1..=100).rev());
        let at = |percent| hundred.percentile(percent).as_millis();
        assert_eq!([at(0), at(1), at(50), at(99), at(100)], [1, 1, 50, 99, 100]);
        assert_eq!((hundred.min().as_millis(), hundred.len()), (1, 100));
    }

    #[test]
    fn few_samples_have_percentiles_too() {
        let three = samples([7, 1, 5]);
        assert_eq!(three.median().as_millis(), 5);
        assert_eq!(three.percentile(99).as_millis(), 7);
        assert_eq!(samples([4]).percentile(1).as_millis(), 4);
    }

    #[test]
    fn nothing_has_no_percentiles() {
        assert!(Samples::new(Vec::new()).is_none());
    }
}

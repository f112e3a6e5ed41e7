//! Pauses between the tries of one thing: each is twice the last one, up to the longest.

use std::time::Duration;

/// The pauses to come.
pub(crate) struct Doubling {
    next: Duration,
    longest: Duration,
}

impl Doubling {
    /// Begins with `first`.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// Returns the next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut pauses_to_come = Doubling::new(Duration::from_secs(1), Duration::from_secs(5));
        let pauses = [(); 5].map(|()| pauses_to_come.next().as_secs());
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
    }
}

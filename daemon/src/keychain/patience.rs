//! When a keychain that failed is tried again: one rule for reading, keeping and forgetting.

use std::time::Duration;

use futures_util::future::join;
use tokio::time::sleep;

use super::{Keychain, KeychainError};
use crate::backoff::Doubling;

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// Returns the pauses between the tries of one thing.
pub(super) fn pauses() -> Doubling {
    Doubling::new(FIRST_PAUSE, LONGEST_PAUSE)
}

/// How long the next try of one thing waits.
pub(crate) struct Patience(Doubling);

impl Default for Patience {
    fn default() -> Self {
        Self(pauses())
    }
}

impl Patience {
    /// Waits after a failure. What is locked or not there yet says when it may be tried again; but it may say so at
    /// once, again and again, and be as locked as before.
    pub(crate) async fn wait(&mut self, keychain: &dyn Keychain, error: KeychainError) {
        let pause = sleep(self.0.next());
        match error {
            KeychainError::Locked(_) | KeychainError::Absent(_) => {
                join(keychain.unlocked(), pause).await;
            }
            KeychainError::Slow(_) | KeychainError::Full(_) | KeychainError::Failed(_) => pause.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use ipc_proto::KeychainKind;
    use tokio::time::Instant;

    use super::*;
    use crate::keychain::fake::Fake;

    #[tokio::test(start_paused = true)]
    async fn a_keychain_that_says_open_and_is_locked_is_not_asked_without_end() {
        let (keychain, mut patience) = (Fake::says_open(), Patience::default());
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let began = Instant::now();
            let locked = KeychainError::Locked(KeychainKind::SecretService);
            patience.wait(&keychain, locked).await;
            pauses.push(began.elapsed().as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_opened_late_is_tried_at_once() {
        let (keychain, mut patience) = (Fake::default(), Patience::default());
        let began = Instant::now();
        let locked = KeychainError::Locked(KeychainKind::SecretService);
        let opened = async {
            sleep(Duration::from_secs(3_600)).await;
            keychain.trouble(None);
        };
        tokio::join!(patience.wait(&keychain, locked), opened);
        assert_eq!(began.elapsed().as_secs(), 3_600);
    }
}

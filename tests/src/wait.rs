//! Waiting for a condition: polled, with a deadline, and with a message that says what did not happen.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep, timeout_at};

/// How long a test waits for anything that should happen. A test that passes never waits this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks at a condition that cannot announce itself.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Returns what `look` finds, or an error that names `what` once `within` has passed.
///
/// A look that hangs counts as one that found nothing.
pub async fn until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + within;
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    match timeout_at(deadline, found).await {
        Ok(found) => Ok(found),
        Err(_) => bail!("waited {within:?} in vain for {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_found_at_last_is_returned() {
        let mut looks = 0;
        let found = until("the third look", PATIENCE, async || {
            looks += 1;
            (looks == 3).then_some("here")
        })
        .await;
        assert_eq!(found.unwrap(), "here");
    }

    #[tokio::test]
    async fn the_error_says_what_did_not_happen_even_when_a_look_hangs() {
        let error = until::<()>("godot", Duration::from_millis(20), async || {
            std::future::pending().await
        });
        assert!(error.await.unwrap_err().to_string().contains("godot"));
    }
}

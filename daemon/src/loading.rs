//! Brings back what the keychains keep (D-053), unasked, as soon as the daemon runs. One keychain that is locked or
//! hangs keeps no login of another one back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ipc_proto::{ErrorCode, Failure, KeychainKind};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::keychain::{Item, Keychain, KeychainError};

/// The pause after a keychain could not be read for the first time; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// How far it is.
#[derive(Default)]
pub(crate) struct Loading {
    /// Keychains that have not answered yet.
    unheard: usize,
    /// Why some cannot be read. They are tried again.
    problems: BTreeMap<KeychainKind, KeychainError>,
}

impl Loading {
    pub(crate) fn of(keychains: usize) -> Self {
        Self {
            unheard: keychains,
            problems: BTreeMap::new(),
        }
    }

    /// Whether every keychain has said something.
    pub(crate) fn is_settled(&self) -> bool {
        self.unheard == 0
    }

    /// Returns why a login may be missing.
    pub(crate) fn problem(&self) -> Option<Failure> {
        let locked = |error: &&KeychainError| matches!(error, KeychainError::Locked(_));
        let mut problems = self.problems.values();
        let worst = problems.clone().find(locked).or_else(|| problems.next())?;
        let failure = Failure::from(*worst);
        let explained = format!("{}, so what it keeps cannot be read", failure.message);
        let hint = match failure.code {
            ErrorCode::KeychainLocked => {
                "unlock it, and cibad goes on by itself; or log in anew: ciba start --url <server>"
            }
            _ => "ciba doctor",
        };
        Some(Failure::new(failure.code, explained).hint(hint))
    }
}

/// Reads one keychain and hands on what it keeps; when it cannot be read, waits until it can.
pub(crate) async fn load(keychain: Arc<dyn Keychain>, state: &watch::Sender<Loading>, resume: impl Fn(Item)) {
    let kind = keychain.kind();
    let (mut pause, mut is_first) = (FIRST_PAUSE, true);
    loop {
        let loaded = keychain.load().await;
        let problem = match loaded {
            Ok(items) => {
                info!(%kind, logins = items.len(), "keychain read");
                items.into_iter().for_each(&resume);
                None
            }
            // It holds nothing, and will not: what this session has at its start is what it has.
            Err(KeychainError::Absent(_)) => None,
            Err(error) => Some(error),
        };
        state.send_modify(|state| state.heard(kind, problem, std::mem::take(&mut is_first)));
        let Some(error) = problem else { return };
        warn!(%kind, reason = %error, "a keychain cannot be read");
        match error {
            KeychainError::Locked(_) => keychain.unlocked().await,
            _ => sleep(pause).await,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Loading {
    fn heard(&mut self, kind: KeychainKind, problem: Option<KeychainError>, is_first: bool) {
        match problem {
            Some(error) => _ = self.problems.insert(kind, error),
            None => _ = self.problems.remove(&kind),
        }
        self.unheard = self.unheard.saturating_sub(usize::from(is_first));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_052_a_locked_keychain_is_the_reason_that_is_told() {
        let mut loading = Loading::of(2);
        loading.heard(
            KeychainKind::Kernel,
            Some(KeychainError::Slow(KeychainKind::Kernel)),
            true,
        );
        assert!(!loading.is_settled());
        let locked = KeychainError::Locked(KeychainKind::SecretService);
        loading.heard(KeychainKind::SecretService, Some(locked), true);
        assert!(loading.is_settled());
        assert_eq!(loading.problem().unwrap().code, ErrorCode::KeychainLocked);
        loading.heard(KeychainKind::SecretService, None, false);
        assert_eq!(loading.problem().unwrap().code, ErrorCode::KeychainUnavailable);
        loading.heard(KeychainKind::Kernel, None, false);
        assert!(loading.problem().is_none());
    }
}

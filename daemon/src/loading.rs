//! Brings back what the keychains keep (D-053), unasked, as soon as the daemon runs. One keychain that is locked or
//! hangs keeps no login of another one back.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipc_proto::KeychainKind;
use thiserror::Error;
use tokio::sync::watch;
use tracing::info;

use crate::keychain::{Item, Keychain, KeychainError, Patience};

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

    /// Returns why a login may be missing. A locked keychain comes first: a person can open it.
    pub(crate) fn problem(&self) -> Option<Unread> {
        let locked = |error: &&KeychainError| matches!(error, KeychainError::Locked(_));
        let mut problems = self.problems.values();
        let worst = problems.clone().find(locked).or_else(|| problems.next())?;
        Some(Unread(*worst))
    }
}

/// A keychain that may keep a login cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}, so what it keeps cannot be read")]
pub(crate) struct Unread(pub(crate) KeychainError);

/// Reads one keychain and hands on what it keeps; when it cannot be read, waits until it can.
pub(crate) async fn load(keychain: Arc<dyn Keychain>, state: &watch::Sender<Loading>, resume: impl Fn(Item)) {
    let kind = keychain.kind();
    let (mut patience, mut is_first) = (Patience::default(), true);
    loop {
        let loaded = keychain.load().await;
        let error = loaded.as_ref().err().copied();
        if let Ok(items) = loaded {
            info!(%kind, logins = items.len(), "keychain read");
            items.into_iter().for_each(&resume);
        }
        // One that is not there may come later in this session; until then it holds nothing back.
        let problem = error.filter(|error| !matches!(error, KeychainError::Absent(_)));
        state.send_modify(|state| state.heard(kind, problem, std::mem::take(&mut is_first)));
        let Some(error) = error else { return };
        info!(%kind, reason = %error, "a keychain cannot be read");
        patience.wait(&*keychain, error).await;
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
    use ipc_proto::{ErrorCode, Failure};

    use super::*;

    fn told(loading: &Loading) -> ErrorCode {
        Failure::from(loading.problem().unwrap()).code
    }

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
        assert_eq!(told(&loading), ErrorCode::KeychainLocked);
        loading.heard(KeychainKind::SecretService, None, false);
        assert_eq!(told(&loading), ErrorCode::KeychainUnavailable);
        loading.heard(KeychainKind::Kernel, None, false);
        assert!(loading.problem().is_none());
    }
}

//! Keeps one login in its keychain (D-052): after its first token, again and again until that succeeds, and until
//! it has to be forgotten.

use std::time::Duration;

use ipc_proto::{ErrorCode, Failure, Kept};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

use super::Shared;
use super::state::Happening;
use crate::keychain::{Item, Keychain, KeychainError};

/// The pause after a keychain failed for the first time; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What is wanted of the keychain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing yet, or nothing any more.
    Nothing,
    Keep,
    /// Final.
    Forget,
}

/// Does what is wished until the login is forgotten or nobody wishes any more. Returns whether the keychain still
/// holds what it was told to forget.
pub(super) async fn keep(shared: &Shared, item: &Item, mut wishes: watch::Receiver<Wish>) -> bool {
    let keychain = &*shared.keychain(item);
    loop {
        let wish = *wishes.borrow_and_update();
        match wish {
            Wish::Nothing => {}
            Wish::Keep => until_kept(shared, keychain, item, &mut wishes).await,
            Wish::Forget => return !forgets(keychain, item).await,
        }
        if *wishes.borrow() == wish && wishes.changed().await.is_err() {
            return false;
        }
    }
}

/// Tries until the login is kept, or something else is wished. A call that is under way is never broken off: what
/// it does would come after the call that undoes it.
async fn until_kept(
    shared: &Shared,
    keychain: &dyn Keychain,
    item: &Item,
    wishes: &mut watch::Receiver<Wish>,
) {
    let mut pause = FIRST_PAUSE;
    while let Err(error) = keychain.keep(item).await {
        warn!(profile = %item.profile, reason = %error, "a login is not kept yet");
        shared.tell(Happening::Kept(kept(keychain, Some(error))));
        let next_try = async {
            match error {
                KeychainError::Locked(_) => keychain.unlocked().await,
                _ => sleep(pause).await,
            }
        };
        tokio::select! {
            () = next_try => {}
            // Whoever wished stops wishing only when the session is over.
            _ = wishes.wait_for(|wish| *wish != Wish::Keep) => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    shared.tell(Happening::Kept(kept(keychain, None)));
    shared.forget_elsewhere(item).await;
}

async fn forgets(keychain: &dyn Keychain, item: &Item) -> bool {
    let forgotten = keychain.forget(&item.profile).await;
    if let Err(error) = forgotten {
        warn!(profile = %item.profile, reason = %error, "a login is still in its keychain");
    }
    forgotten.is_ok()
}

fn kept(keychain: &dyn Keychain, problem: Option<KeychainError>) -> Kept {
    Kept {
        keychain: keychain.kind(),
        problem: problem.map(Failure::from),
    }
}

impl From<KeychainError> for Failure {
    fn from(error: KeychainError) -> Self {
        let code = match error {
            KeychainError::Locked(_) => ErrorCode::KeychainLocked,
            _ => ErrorCode::KeychainUnavailable,
        };
        let failure = Self::new(code, error.to_string());
        match error {
            KeychainError::Locked(_) => failure.hint("unlock it, and cibad goes on by itself"),
            _ => failure.hint("ciba doctor"),
        }
    }
}

//! Keeps one login in its keychain (D-052): from its first token on, trying until that succeeds, until it has to be
//! forgotten.

use ipc_proto::{Failure, Kept};
use tokio::sync::watch;
use tracing::warn;

use super::Shared;
use super::state::SessionEvent;
use crate::keychain::{Item, Keychain, KeychainError, Patience};

/// What is wanted of the keychain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing yet.
    Nothing,
    Keep,
    /// Final.
    Forget,
}

/// Does what is wished until the login is forgotten, or the session is over. Returns whether the keychain still holds
/// what it was told to forget.
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

/// Tries until the login is kept, and no other keychain has an older one of its profile; or until something else is
/// wished. A call that is under way is never broken off: what it does would come after the call that undoes it.
async fn until_kept(
    shared: &Shared,
    keychain: &dyn Keychain,
    item: &Item,
    wishes: &mut watch::Receiver<Wish>,
) {
    let mut patience = Patience::default();
    while let Err(error) = keychain.keep(item).await {
        warn!(profile = %item.profile, reason = %error, "a login is not kept yet");
        shared.tell(SessionEvent::Kept(kept(keychain, Some(error.into()))));
        if changed(wishes, patience.wait(keychain, error)).await {
            return;
        }
    }
    shared.tell(SessionEvent::Kept(kept(keychain, None)));
    for other in shared.other_keychains(item) {
        if until_forgotten(shared, keychain, &*other, item, wishes).await {
            return;
        }
    }
    shared.tell(SessionEvent::Kept(kept(keychain, None)));
}

/// A profile is kept in one place: an older login of it must not come back from another. Returns whether something
/// else is wished.
async fn until_forgotten(
    shared: &Shared,
    keychain: &dyn Keychain,
    other: &dyn Keychain,
    item: &Item,
    wishes: &mut watch::Receiver<Wish>,
) -> bool {
    let mut patience = Patience::default();
    while let Err(error) = other.forget(&item.profile).await {
        // A keychain that is not there holds nothing that could come back.
        if let KeychainError::Absent(_) = error {
            break;
        }
        let message = format!("{error}, and may have an older login of this profile");
        let problem = Failure::new(Failure::from(error).code, message);
        shared.tell(SessionEvent::Kept(kept(keychain, Some(problem))));
        if changed(wishes, patience.wait(other, error)).await {
            return true;
        }
    }
    false
}

/// Returns whether something else than to keep it is wished before the wait is over.
async fn changed(wishes: &mut watch::Receiver<Wish>, wait: impl Future<Output = ()>) -> bool {
    tokio::select! {
        () = wait => false,
        // The sender goes only when the session is over.
        _ = wishes.wait_for(|wish| *wish != Wish::Keep) => true,
    }
}

async fn forgets(keychain: &dyn Keychain, item: &Item) -> bool {
    let forgotten = keychain.forget(&item.profile).await;
    if let Err(error) = forgotten {
        warn!(profile = %item.profile, reason = %error, "a login is still in its keychain");
    }
    forgotten.is_ok()
}

fn kept(keychain: &dyn Keychain, problem: Option<Failure>) -> Kept {
    Kept {
        keychain: keychain.kind(),
        problem,
    }
}

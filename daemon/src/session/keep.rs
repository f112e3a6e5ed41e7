//! Keeps one login in its keychain (D-052): from its first token on, trying until that succeeds, until it has to be
//! forgotten.

use ipc_proto::{Failure, Kept};
use tokio::sync::{mpsc, watch};
use tracing::warn;

use super::Shared;
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

/// Keeps one login.
pub(super) struct Keeper<'a> {
    pub(super) shared: &'a Shared,
    pub(super) item: &'a Item,
    pub(super) wishes: watch::Receiver<Wish>,
    /// Where each result goes.
    pub(super) results: mpsc::Sender<Kept>,
}

impl Keeper<'_> {
    /// Does what is wished until the login is forgotten, or the session is over. Returns whether the keychain still holds
    /// what it was told to forget.
    pub(super) async fn run(mut self) -> bool {
        let keychain = &*self.shared.keychain(self.item);
        loop {
            let wish = *self.wishes.borrow_and_update();
            match wish {
                Wish::Nothing => {}
                Wish::Keep => self.until_kept(keychain).await,
                Wish::Forget => return !forgets(keychain, self.item).await,
            }
            if *self.wishes.borrow() == wish && self.wishes.changed().await.is_err() {
                return false;
            }
        }
    }

    /// Tries until the login is kept, and no other keychain has an older one of its profile; or until something else is
    /// wished. A call that is under way is never broken off: what it does would come after the call that undoes it.
    async fn until_kept(&mut self, keychain: &dyn Keychain) {
        let mut patience = Patience::default();
        while let Err(error) = keychain.keep(self.item).await {
            warn!(profile = %self.item.profile, reason = %error, "a login is not kept yet");
            self.report(Some(error.into())).await;
            if self.wish_changes(patience.wait(keychain, error)).await {
                return;
            }
        }
        self.report(None).await;
        for other in self.shared.other_keychains(self.item) {
            if self.until_forgotten(&*other).await {
                return;
            }
        }
        self.report(None).await;
    }

    /// A profile is kept in one place: an older login of it must not come back from another. Returns whether something
    /// else is wished.
    async fn until_forgotten(&mut self, other: &dyn Keychain) -> bool {
        let mut patience = Patience::default();
        while let Err(error) = other.forget(&self.item.profile).await {
            // A keychain that is not there holds nothing that could come back.
            if let KeychainError::Absent(_) = error {
                break;
            }
            let message = format!("{error}, and may have an older login of this profile");
            self.report(Some(Failure::new(Failure::from(error).code, message)))
                .await;
            if self.wish_changes(patience.wait(other, error)).await {
                return true;
            }
        }
        false
    }

    /// Returns whether something else than to keep it is wished before the wait is over.
    async fn wish_changes(&mut self, wait: impl Future<Output = ()>) -> bool {
        tokio::select! {
            () = wait => false,
            // The sender goes only when the session is over.
            _ = self.wishes.wait_for(|wish| *wish != Wish::Keep) => true,
        }
    }

    async fn report(&self, problem: Option<Failure>) {
        // Not the item's: one that is not on this system is kept in memory.
        let keychain = self.shared.keychain(self.item).kind();
        // A session that is over needs no results.
        let _ = self.results.send(Kept { keychain, problem }).await;
    }
}

async fn forgets(keychain: &dyn Keychain, item: &Item) -> bool {
    let forgotten = keychain.forget(&item.profile).await;
    if let Err(error) = forgotten {
        warn!(profile = %item.profile, reason = %error, "a login is still in its keychain");
    }
    forgotten.is_ok()
}

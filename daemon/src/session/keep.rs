//! Keeps one login in its keychain (D-052): from its first token on, trying until that succeeds, until it has to be
//! forgotten.

use futures_util::future::{join, join_all};
use ipc_proto::{Failure, Kept};
use tokio::sync::{mpsc, watch};
use tracing::warn;

use super::Shared;
use crate::keychain::{Item, Keychain, KeychainError, Patience};

/// What is wanted of the keychain, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// Nothing yet.
    Nothing,
    Keep,
    Forget,
    /// In every keychain. Final.
    ForgetProfile,
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
    /// Does what is wished until the profile is forgotten, or the session is over. Returns whether a keychain still holds
    /// what it was told to forget.
    pub(super) async fn run(mut self) -> bool {
        let keychain = &*self.shared.keychain(self.item);
        let mut is_still_kept = false;
        loop {
            let wish = *self.wishes.borrow_and_update();
            match wish {
                Wish::Nothing => {}
                Wish::Keep => self.until_kept(keychain).await,
                Wish::Forget => is_still_kept = !self.forgets(keychain).await,
                Wish::ForgetProfile => return !self.forgets_everywhere(keychain).await,
            }
            if *self.wishes.borrow() == wish && self.wishes.changed().await.is_err() {
                return is_still_kept;
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

    /// A keychain that was locked all the while may have an older login of the profile. It must not come back after the
    /// person has logged out.
    async fn forgets_everywhere(&self, keychain: &dyn Keychain) -> bool {
        let others = self.shared.other_keychains(self.item);
        let elsewhere = others.iter().map(|other| self.forgets_older(&**other));
        let (here, elsewhere) = join(self.forgets(keychain), join_all(elsewhere)).await;
        here && elsewhere.into_iter().all(|forgotten| forgotten)
    }

    async fn forgets(&self, keychain: &dyn Keychain) -> bool {
        let forgotten = keychain.forget(&self.item.profile).await;
        if let Err(error) = forgotten {
            warn!(profile = %self.item.profile, reason = %error, "a login is still in its keychain");
        }
        forgotten.is_ok()
    }

    async fn forgets_older(&self, other: &dyn Keychain) -> bool {
        let forgotten = other.forget(&self.item.profile).await;
        // A keychain that is not there holds nothing that could come back.
        matches!(forgotten, Ok(()) | Err(KeychainError::Absent(_)))
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

//! No keychain: the login ends with the daemon, because its person wanted that or this machine has nothing better.

use futures_util::future::{BoxFuture, FutureExt as _, pending, ready};
use ipc_proto::{KeychainKind, ProfileName};

use super::{Item, Keychain, KeychainError};

/// Keeps nothing.
pub(super) struct Memory;

impl Keychain for Memory {
    fn kind(&self) -> KeychainKind {
        KeychainKind::Memory
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), KeychainError>> {
        ready(Ok(())).boxed()
    }

    fn load(&self) -> BoxFuture<'_, Result<Vec<Item>, KeychainError>> {
        ready(Ok(Vec::new())).boxed()
    }

    fn keep<'a>(&'a self, _: &'a Item) -> BoxFuture<'a, Result<(), KeychainError>> {
        ready(Ok(())).boxed()
    }

    fn forget<'a>(&'a self, _: &'a ProfileName) -> BoxFuture<'a, Result<(), KeychainError>> {
        ready(Ok(())).boxed()
    }

    fn unlocked(&self) -> BoxFuture<'_, ()> {
        pending().boxed()
    }
}

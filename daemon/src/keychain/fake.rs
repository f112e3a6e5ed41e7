//! A keychain for tests that does what it is told: keeps, is locked, hangs, forgets nothing by itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, pending, ready};
use ipc_proto::{KeychainKind, ProfileName};
use tokio::sync::Notify;
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::{Client, ClientName, Item, Keychain, KeychainError};

/// Kept in the test's own memory.
#[derive(Default)]
pub(crate) struct Fake {
    inner: Mutex<Inner>,
    unlocked: Notify,
    says_open: bool,
    /// Secret Service where a test does not say.
    kind: Option<KeychainKind>,
}

#[derive(Default)]
struct Inner {
    items: BTreeMap<ProfileName, Zeroizing<Vec<u8>>>,
    clients: BTreeMap<String, Zeroizing<Vec<u8>>>,
    trouble: Option<Trouble>,
}

/// What is wrong with it.
#[derive(Clone, Copy)]
pub(crate) enum Trouble {
    Error(KeychainError),
    Hangs,
    /// It works, and is that slow to say so.
    Slow(Duration),
}

impl Fake {
    /// Returns one that says it was opened whenever somebody asks.
    pub(crate) fn says_open() -> Self {
        Self {
            says_open: true,
            ..Self::default()
        }
    }

    /// Returns one of another kind.
    pub(crate) fn of(kind: KeychainKind) -> Self {
        Self {
            kind: Some(kind),
            ..Self::default()
        }
    }

    /// Makes it answer like that from now on.
    pub(crate) fn trouble(&self, trouble: Option<Trouble>) {
        self.inner().trouble = trouble;
        if trouble.is_none() {
            self.unlocked.notify_waiters();
        }
    }

    /// Makes it work from now on, and does not say so.
    pub(crate) fn opens_silently(&self) {
        self.inner().trouble = None;
    }

    /// Returns the profiles it keeps.
    pub(crate) fn profiles(&self) -> Vec<ProfileName> {
        self.inner().items.keys().cloned().collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn answer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Inner) -> T,
    ) -> BoxFuture<'static, Result<T, KeychainError>> {
        let mut inner = self.inner();
        match inner.trouble {
            Some(Trouble::Hangs) => pending().boxed(),
            Some(Trouble::Error(error)) => ready(Err(error)).boxed(),
            Some(Trouble::Slow(time)) => {
                let done = work(&mut inner);
                sleep(time).map(|()| Ok(done)).boxed()
            }
            None => ready(Ok(work(&mut inner))).boxed(),
        }
    }
}

impl Keychain for Fake {
    fn kind(&self) -> KeychainKind {
        self.kind.unwrap_or(KeychainKind::SecretService)
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), KeychainError>> {
        self.answer(|_| ())
    }

    fn load(&self) -> BoxFuture<'_, Result<Vec<Item>, KeychainError>> {
        let read = |item: &Zeroizing<Vec<u8>>| Item::decode(item).unwrap();
        self.answer(|inner| inner.items.values().map(read).collect())
    }

    fn keep<'a>(&'a self, item: &'a Item) -> BoxFuture<'a, Result<(), KeychainError>> {
        self.answer(|inner| {
            inner.items.insert(item.profile.clone(), item.encode());
        })
    }

    fn forget<'a>(&'a self, profile: &'a ProfileName) -> BoxFuture<'a, Result<(), KeychainError>> {
        self.answer(|inner| {
            inner.items.remove(profile);
        })
    }

    fn clients(&self) -> BoxFuture<'_, Result<Vec<Client>, KeychainError>> {
        let read = |client: &Zeroizing<Vec<u8>>| Client::decode(client).unwrap();
        self.answer(|inner| inner.clients.values().map(read).collect())
    }

    fn keep_client<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<(), KeychainError>> {
        self.answer(|inner| {
            inner.clients.insert(client.name.digest(), client.encode());
        })
    }

    fn forget_client<'a>(&'a self, name: &'a ClientName) -> BoxFuture<'a, Result<(), KeychainError>> {
        self.answer(|inner| {
            inner.clients.remove(&name.digest());
        })
    }

    fn unlocked(&self) -> BoxFuture<'_, ()> {
        if self.says_open {
            return ready(()).boxed();
        }
        self.unlocked.notified().boxed()
    }
}

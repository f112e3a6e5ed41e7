//! No keychain: what is kept ends with the daemon, because its person wanted that or this machine has nothing better. A
//! login lives in its session then; a client lives here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, FutureExt as _, pending, ready};
use ipc_proto::{KeychainKind, ProfileName};

use super::{Client, ClientName, Item, Keychain, KeychainError};
use crate::memory::Locked;

/// Keeps clients as long as the daemon runs, and no login.
#[derive(Default)]
pub(super) struct Memory {
    clients: Mutex<BTreeMap<String, Locked>>,
}

impl Memory {
    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Locked>> {
        // Every change is one insertion or removal.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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

    fn clients(&self) -> BoxFuture<'_, Result<Vec<Client>, KeychainError>> {
        let clients = self
            .held()
            .values()
            .flat_map(|text| Client::decode(text.expose()))
            .collect();
        ready(Ok(clients)).boxed()
    }

    fn keep_client<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<(), KeychainError>> {
        let kept = Locked::copy_of(&client.encode()).map(|text| {
            self.held().insert(client.name.digest(), text);
        });
        ready(kept.map_err(|_| KeychainError::Full(self.kind()))).boxed()
    }

    fn forget_client<'a>(&'a self, name: &'a ClientName) -> BoxFuture<'a, Result<(), KeychainError>> {
        self.held().remove(&name.digest());
        ready(Ok(())).boxed()
    }

    fn unlocked(&self) -> BoxFuture<'_, ()> {
        pending().boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::tests::{client, parts};
    use super::*;

    #[tokio::test]
    async fn clients_are_kept_as_long_as_the_daemon_runs() {
        let (keychain, agent) = (Memory::default(), client("agent"));
        keychain.keep_client(&client("other")).await.unwrap();
        keychain.keep_client(&agent).await.unwrap();
        keychain.keep_client(&agent).await.unwrap();
        assert_eq!(keychain.clients().await.unwrap().len(), 2);
        keychain.forget_client(&client("other").name).await.unwrap();
        let held = keychain.clients().await.unwrap();
        assert_eq!(held.iter().map(parts).collect::<Vec<_>>(), [parts(&agent)]);
    }
}

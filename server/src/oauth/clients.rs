//! The clients of this server: those of the configuration, and those in the store that registered or that an
//! administrator added.

use std::collections::HashMap;
use std::sync::Arc;

use store::{Key, Put, Space, Store, Swap, UnixSeconds};
use thiserror::Error;

use super::client::Client;
use crate::clock::now;

/// Clients listed at once.
const LISTED_AT_ONCE: usize = 500;

/// The clients. A disabled one is found like any other: it is for the caller to refuse it.
pub(crate) struct Clients {
    configured: HashMap<String, Arc<Client>>,
    store: Arc<dyn Store>,
}

/// A client could not be read or written.
#[derive(Clone, Debug, Error)]
pub(crate) enum ClientsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What was stored is not a client.
    #[error("the record of a client cannot be read")]
    Unreadable,
    /// There is one of this id already.
    #[error("there is a client of this id already")]
    Exists,
    /// There is none of this id, or another administrator changed it meanwhile.
    #[error("there is no such client, or it was changed meanwhile")]
    Gone,
}

impl Clients {
    pub(crate) fn new(configured: Vec<Client>, store: Arc<dyn Store>) -> Self {
        let configured = configured
            .into_iter()
            .map(|client| (client.id.clone(), Arc::new(client)));
        Self {
            configured: configured.collect(),
            store,
        }
    }

    /// Returns the client of an id. What an administrator changes holds from the next request on (C-054).
    pub(crate) async fn find(&self, id: &str) -> Result<Option<Arc<Client>>, ClientsError> {
        if let Some(client) = self.configured.get(id) {
            return Ok(Some(Arc::clone(client)));
        }
        let found = self.store.get(key(id), now()).await?;
        found
            .map(|record| decode(&record.value).map(Arc::new))
            .transpose()
    }

    /// Returns the client of an id, unless it is disabled.
    pub(crate) async fn enabled(&self, id: &str) -> Result<Option<Arc<Client>>, ClientsError> {
        let found = self.find(id).await?;
        Ok(found.filter(|client| !client.disabled))
    }

    /// Keeps a new client.
    pub(crate) async fn add(&self, client: &Client) -> Result<(), ClientsError> {
        if self.configured.contains_key(&client.id) {
            return Err(ClientsError::Exists);
        }
        let put = self
            .store
            .put_if_absent(key(&client.id), encode(client), UnixSeconds::MAX, now());
        match put.await? {
            Put::Done(_) => Ok(()),
            Put::Exists => Err(ClientsError::Exists),
        }
    }

    /// Changes a client that is kept in the store.
    pub(crate) async fn edit(&self, id: &str, edit: impl FnOnce(&mut Client)) -> Result<(), ClientsError> {
        let found = self.store.get(key(id), now()).await?.ok_or(ClientsError::Gone)?;
        let mut client = decode(&found.value)?;
        edit(&mut client);
        let swap =
            self.store
                .compare_and_set(key(id), found.version, encode(&client), UnixSeconds::MAX, now());
        match swap.await? {
            Swap::Done(_) => Ok(()),
            Swap::Conflict | Swap::Gone => Err(ClientsError::Gone),
        }
    }

    /// Removes a client that is kept in the store.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), ClientsError> {
        let removed = self.store.take(key(id), now()).await?;
        removed.map(drop).ok_or(ClientsError::Gone)
    }

    /// Whether the configuration names the client: then it alone can change it.
    pub(crate) fn is_configured(&self, id: &str) -> bool {
        self.configured.contains_key(id)
    }

    /// Returns how many are kept in the store.
    pub(super) async fn stored(&self) -> Result<u64, ClientsError> {
        Ok(self.store.count(Space::Client, now()).await?)
    }

    /// Returns every client, the configured ones first.
    pub(crate) async fn all(&self) -> Result<Vec<Client>, ClientsError> {
        let mut clients: Vec<_> = self
            .configured
            .values()
            .map(|client| Client::clone(client))
            .collect();
        clients.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        let mut after = String::new();
        loop {
            let listed = self
                .store
                .list(Space::Client, &after, LISTED_AT_ONCE, now())
                .await?;
            let is_last = listed.len() < LISTED_AT_ONCE;
            for (id, record) in listed {
                clients.push(decode(&record.value)?);
                after = id;
            }
            if is_last {
                return Ok(clients);
            }
        }
    }
}

fn key(id: &str) -> Key<'_> {
    Key {
        space: Space::Client,
        id,
    }
}

fn decode(value: &[u8]) -> Result<Client, ClientsError> {
    serde_json::from_slice(value).map_err(|_| ClientsError::Unreadable)
}

fn encode(client: &Client) -> Vec<u8> {
    serde_json::to_vec(client).expect("texts and numbers always serialize")
}

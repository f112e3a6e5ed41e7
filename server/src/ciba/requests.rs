//! The requests of this server: kept sealed in the store, changed in one way, by [`Requests::edit`].

use std::sync::Arc;

use store::{Key, Put, Space, Store, Swap, UnixSeconds};
use thiserror::Error;

use super::name::Name;
use super::request::Request;
use crate::clock::now;
use crate::oauth::keys::Keys;

/// How often a record is read and written, beyond the first time: as many writers may race for it.
const TRIES: usize = 8;

/// Records read at once at the start.
const LISTED_AT_ONCE: usize = 500;

/// A request could not be read or written.
#[derive(Clone, Debug, Error)]
pub(crate) enum RequestsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What was stored does not open: another key sealed it, or it was changed.
    #[error("the record of a request cannot be read")]
    Unreadable,
    /// Others changed it again and again.
    #[error("the record of a request was changed meanwhile")]
    Busy,
}

/// The requests.
pub(super) struct Requests {
    store: Arc<dyn Store>,
    keys: Arc<Keys>,
}

impl Requests {
    pub(super) fn new(store: Arc<dyn Store>, keys: Arc<Keys>) -> Self {
        Self { store, keys }
    }

    /// Keeps a new request (C-143).
    pub(super) async fn begin(&self, name: &Name, request: &Request) -> Result<(), RequestsError> {
        let id = name.to_string();
        let expires = UnixSeconds::new(request.forgotten_at());
        let put = self
            .store
            .put_if_absent(key(&id), self.seal(&id, request), expires, now());
        match put.await? {
            Put::Done(_) => Ok(()),
            Put::Exists => Err(RequestsError::Busy),
        }
    }

    /// Returns the request, or its mark (C-423).
    pub(super) async fn find(&self, name: &Name) -> Result<Option<Request>, RequestsError> {
        let id = name.to_string();
        let found = self.store.get(key(&id), now()).await?;
        found.map(|record| self.open(&id, &record.value)).transpose()
    }

    /// Changes a request in one step (C-230, C-274): of many that race, one changes it, and the others' editors see it
    /// changed. Returns what the editor returned and the request as it is now; `None`: there is no such request.
    pub(super) async fn edit<T, E>(
        &self,
        name: &Name,
        mut editor: impl FnMut(&mut Request) -> Result<T, E>,
    ) -> Result<Option<Result<(T, Request), E>>, RequestsError> {
        let id = name.to_string();
        for _ in 0..=TRIES {
            let Some(found) = self.store.get(key(&id), now()).await? else {
                return Ok(None);
            };
            let mut request = self.open(&id, &found.value)?;
            let done = match editor(&mut request) {
                Ok(done) => done,
                Err(error) => return Ok(Some(Err(error))),
            };
            let (sealed, expires) = (self.seal(&id, &request), UnixSeconds::new(request.forgotten_at()));
            let swap = self
                .store
                .compare_and_set(key(&id), found.version, sealed, expires, now());
            match swap.await? {
                Swap::Done(_) => return Ok(Some(Ok((done, request)))),
                Swap::Gone => return Ok(None),
                Swap::Conflict => {}
            }
        }
        Err(RequestsError::Busy)
    }

    /// Forgets a request (C-223).
    pub(super) async fn forget(&self, name: &Name) -> Result<(), RequestsError> {
        Ok(self.store.delete(key(&name.to_string())).await?)
    }

    /// Returns every request that can be read.
    pub(super) async fn all(&self) -> Result<Vec<(Name, Request)>, RequestsError> {
        let (mut requests, mut after) = (Vec::new(), String::new());
        loop {
            let listed = self
                .store
                .list(Space::Request, &after, LISTED_AT_ONCE, now())
                .await?;
            let is_last = listed.len() < LISTED_AT_ONCE;
            for (id, record) in listed {
                let request = Name::parse(&id).zip(self.open(&id, &record.value).ok());
                requests.extend(request);
                after = id;
            }
            if is_last {
                return Ok(requests);
            }
        }
    }

    fn seal(&self, id: &str, request: &Request) -> Vec<u8> {
        let plain = serde_json::to_vec(request).expect("texts and numbers always serialize");
        self.keys.vault().seal(&context(id), &plain)
    }

    fn open(&self, id: &str, sealed: &[u8]) -> Result<Request, RequestsError> {
        let plain = self.keys.vault().open(&context(id), sealed);
        let plain = plain.ok_or(RequestsError::Unreadable)?;
        serde_json::from_slice(&plain).map_err(|_| RequestsError::Unreadable)
    }
}

fn context(id: &str) -> String {
    format!("request:{id}")
}

fn key(id: &str) -> Key<'_> {
    Key {
        space: Space::Request,
        id,
    }
}

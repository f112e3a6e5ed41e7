//! The keys of clients, as they are needed: those that a client registered, and those behind its `jwks_uri`, fetched once
//! and kept for a while (C-079).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use http::StatusCode;
use jsonwebtoken::jwk::Jwk;
use url::Url;

use super::key_set::{KeySet, NoKey};
use super::{Claims, Jws};
use crate::oauth::alg::Alg;
use crate::oauth::client::Client;
use crate::outgoing::UntrustedHttp;

/// How long fetched keys are believed: a key that the client took back is not trusted for longer.
const KEPT: Duration = Duration::from_secs(3600);

/// A client's `jwks_uri` is asked at most this often, whatever tokens come in the client's name (C-079).
const ASKED_EVERY: Duration = Duration::from_secs(60);

/// The keys of all clients.
pub(crate) struct ClientKeys {
    http: UntrustedHttp,
    /// How long fetched keys are believed, and how often they are asked for.
    pace: Pace,
    fetched: Mutex<HashMap<String, Arc<Remote>>>,
}

#[derive(Clone, Copy)]
struct Pace {
    kept: Duration,
    asked_every: Duration,
}

/// What is behind one owner's `jwks_uri`.
struct Remote {
    uri: Url,
    found: RwLock<Option<(Instant, Arc<KeySet>)>>,
    /// When the owner was last asked; held by the caller who asks.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

/// Where the keys of one owner are.
pub(crate) enum KeysOf<'a> {
    /// In hand.
    Set(&'a KeySet),
    /// Behind a URL. The owner's name keeps what one owner asks for apart from all others.
    At(&'a str, &'a Url),
}

impl ClientKeys {
    pub(crate) fn new(http: UntrustedHttp) -> Self {
        Self {
            http,
            pace: Pace {
                kept: KEPT,
                asked_every: ASKED_EVERY,
            },
            fetched: Mutex::default(),
        }
    }

    /// Returns the claims of a token that this client signed with this algorithm.
    pub(crate) async fn claims_of_client(
        &self,
        client: &Client,
        token: &Jws<'_>,
        alg: Alg,
    ) -> Option<Claims> {
        let metadata = &client.metadata;
        if let Some(set) = &metadata.jwks {
            let set = KeySet::of(set.clone()).ok()?;
            return self.claims(KeysOf::Set(&set), token, alg).await;
        }
        let uri = metadata.jwks_uri.as_ref()?;
        self.claims(KeysOf::At(&client.id, uri), token, alg).await
    }

    /// Whether one of this client's keys is the wanted one.
    pub(crate) async fn has(&self, client: &Client, is_it: impl Fn(&Jwk) -> bool) -> bool {
        let metadata = &client.metadata;
        if let Some(set) = &metadata.jwks {
            return KeySet::of(set.clone()).is_ok_and(|set| set.has(&is_it));
        }
        let Some(uri) = &metadata.jwks_uri else {
            return false;
        };
        let set = self.fetched(&client.id, uri, |set| set.has(&is_it)).await;
        set.is_some_and(|set| set.has(&is_it))
    }

    /// Returns the claims of a token that the owner of these keys signed with this algorithm.
    pub(crate) async fn claims(&self, keys: KeysOf<'_>, token: &Jws<'_>, alg: Alg) -> Option<Claims> {
        if token.alg() != Some(alg) {
            return None;
        }
        match keys {
            KeysOf::Set(set) => signed_with(set, token, alg),
            KeysOf::At(owner, uri) => {
                let is_known = |set: &KeySet| set.key_for(token, alg).err() != Some(NoKey::Unknown);
                let set = self.fetched(owner, uri, is_known).await?;
                signed_with(&set, token, alg)
            }
        }
    }

    /// Forgets what is not believed any more, and whom we may ask again.
    pub(crate) fn forget_old(&self) {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        fetched.retain(|_, remote| Arc::strong_count(remote) > 1 || remote.is_needed(self.pace));
    }

    #[cfg(test)]
    pub(super) fn hurry(&mut self) {
        self.pace.asked_every = Duration::ZERO;
    }

    #[cfg(test)]
    pub(super) fn grow_old(&mut self) {
        self.pace.kept = Duration::ZERO;
    }

    #[cfg(test)]
    pub(super) fn owners(&self) -> usize {
        self.fetched.lock().unwrap().len()
    }

    /// Returns the latest set, looking for a newer one if it does not do.
    async fn fetched(
        &self,
        owner: &str,
        uri: &Url,
        will_do: impl Fn(&KeySet) -> bool,
    ) -> Option<Arc<KeySet>> {
        let remote = self.remote(owner, uri);
        let known = || remote.known(self.pace.kept);
        if let Some(set) = known().filter(|set| will_do(set)) {
            return Some(set);
        }
        let asked = Arc::clone(&remote).ask(self.http.clone(), self.pace, known());
        // In a task of its own: a caller that leaves half-way does not use up the owner's turn.
        tokio::spawn(asked).await.ok()?;
        known()
    }

    fn remote(&self, owner: &str, uri: &Url) -> Arc<Remote> {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(remote) = fetched.get(owner).filter(|remote| remote.uri == *uri) {
            return Arc::clone(remote);
        }
        let remote = Arc::new(Remote {
            uri: uri.clone(),
            found: RwLock::default(),
            asked: tokio::sync::Mutex::default(),
        });
        fetched.insert(owner.to_owned(), Arc::clone(&remote));
        remote
    }
}

impl Remote {
    /// Returns the keys that are still believed.
    fn known(&self, kept: Duration) -> Option<Arc<KeySet>> {
        let found = self.found.read().unwrap_or_else(PoisonError::into_inner);
        let (at, set) = found.as_ref()?;
        (at.elapsed() < kept).then(|| Arc::clone(set))
    }

    /// Whether it holds keys, or when its owner was last asked (C-079).
    fn is_needed(&self, pace: Pace) -> bool {
        // A caller who asks holds the lock.
        let is_recent = |asked: Option<Instant>| asked.is_some_and(|at| at.elapsed() < pace.asked_every);
        let was_asked = self.asked.try_lock().map_or(true, |asked| is_recent(*asked));
        was_asked || self.known(pace.kept).is_some()
    }

    /// Asks for newer keys than the `old` ones, unless another caller just did.
    async fn ask(self: Arc<Self>, http: UntrustedHttp, pace: Pace, old: Option<Arc<KeySet>>) {
        let mut asked = self.asked.lock().await;
        let is_newer = match (&old, self.known(pace.kept)) {
            (Some(old), Some(new)) => !Arc::ptr_eq(old, &new),
            (None, new) => new.is_some(),
            (Some(_), None) => false,
        };
        if is_newer || asked.is_some_and(|at| at.elapsed() < pace.asked_every) {
            return;
        }
        *asked = Some(Instant::now());
        if let Some(set) = self.fetch(&http).await {
            let found = Some((Instant::now(), Arc::new(set)));
            *self.found.write().unwrap_or_else(PoisonError::into_inner) = found;
        }
    }

    async fn fetch(&self, http: &UntrustedHttp) -> Option<KeySet> {
        let host = self.uri.host_str().unwrap_or_default();
        let request = http.get(self.uri.clone()).ok()?.build().ok()?;
        let answer = http.fetch(request).await;
        let answer = answer
            .inspect_err(|error| tracing::warn!(host, %error, "a jwks_uri gave no keys"))
            .ok()?;
        if answer.status() != StatusCode::OK {
            tracing::warn!(host, status = answer.status().as_u16(), "a jwks_uri gave no keys");
            return None;
        }
        let set = KeySet::read(answer.body());
        set.inspect_err(|error| tracing::warn!(host, %error, "a jwks_uri gave no keys"))
            .ok()
    }
}

fn signed_with(set: &KeySet, token: &Jws<'_>, alg: Alg) -> Option<Claims> {
    token.claims_signed_with(set.key_for(token, alg).ok()?)
}

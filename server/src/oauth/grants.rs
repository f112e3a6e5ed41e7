//! What clients were granted, one record each: the tokens that hang on it are good only while it is there. So a whole
//! family is revoked by removing one record.

use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use store::{Key, Put, Space, Store, Swap, UnixSeconds, Version};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use super::client::Client;
use super::keys::Keys;
use crate::clock::now;
use crate::random::random;

/// What a client was granted. It holds what a person decided: there is no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    /// Which client of that id: one that is added again under the same id has none of the earlier one's grants.
    #[serde(default)]
    pub(super) incarnation: String,
    /// Whose; `None`: the client's own.
    pub(crate) sub: Option<String>,
    pub(crate) scope: Vec<String>,
    /// RFC 8707; none: the issuer is the audience (C-303).
    pub(crate) resources: Vec<String>,
    /// RFC 9396
    pub(crate) authorization_details: Option<Value>,
    /// The `agent` of the client's `agent_claims` (C-113).
    pub(crate) agent: Option<Value>,
    /// What the operator's program adds to access tokens (C-305).
    #[serde(default)]
    pub(crate) claims: Map<String, Value>,
    /// When the person last signed in, Unix seconds.
    pub(crate) auth_time: Option<u64>,
    pub(crate) acr: Option<String>,
    #[serde(default)]
    pub(crate) amr: Vec<String>,
    /// The certificate that its tokens are bound to (RFC 8705 §3.1): SHA-256, base64url.
    #[serde(default)]
    pub(crate) certificate: Option<String>,
    /// Hash of the refresh token that was not used yet.
    #[serde(default)]
    refresh: Option<String>,
    /// When it ends, Unix seconds.
    #[serde(default)]
    pub(crate) ends: u64,
}

impl Grant {
    pub(crate) fn new(client_id: &str, sub: Option<&str>, scope: Vec<String>) -> Self {
        Self {
            client_id: client_id.to_owned(),
            incarnation: String::new(),
            sub: sub.map(str::to_owned),
            scope,
            resources: Vec::new(),
            authorization_details: None,
            agent: None,
            claims: Map::new(),
            auth_time: None,
            acr: None,
            amr: Vec::new(),
            certificate: None,
            refresh: None,
            ends: 0,
        }
    }

    /// Whether it is this client's.
    pub(super) fn is_of(&self, client: &Client) -> bool {
        client.is(&self.client_id, &self.incarnation)
    }

    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.scope.iter().any(|own| own == scope)
    }
}

/// Names a grant in its tokens; it opens nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrantId(String);

impl GrantId {
    pub(super) fn draw() -> Self {
        Self(Base64UrlUnpadded::encode_string(&random::<16>()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for GrantId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A refresh token: the grant's id, and a secret. Wiped.
pub(crate) struct RefreshToken(pub(crate) Zeroizing<String>);

impl RefreshToken {
    fn draw(id: &GrantId) -> Self {
        let secret = Zeroizing::new(random::<32>());
        let secret = Zeroizing::new(Base64UrlUnpadded::encode_string(&*secret));
        Self(Zeroizing::new([id.as_str(), ".", &secret].concat()))
    }

    /// Returns the grant that a token says it belongs to.
    fn grant(token: &str) -> Option<GrantId> {
        let (id, _) = token.split_once('.')?;
        Some(GrantId(id.to_owned()))
    }
}

/// What became of a refresh token that was presented.
pub(crate) enum Rotated {
    /// It was good: the grant, and the token that takes its place.
    Fresh(GrantId, Box<Grant>, RefreshToken),
    /// There is no such token, or it is another client's: nothing changed.
    Unknown,
    /// It was used before: the family is gone (RFC 9700 §4.14.2).
    Reused,
}

/// A grant could not be read or written.
#[derive(Clone, Debug, Error)]
pub(crate) enum GrantsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What was stored does not open.
    #[error("the record of a grant cannot be read")]
    Unreadable,
}

/// The grants, sealed in the store.
pub(crate) struct Grants {
    store: Arc<dyn Store>,
    keys: Arc<Keys>,
}

impl Grants {
    pub(crate) fn new(store: Arc<dyn Store>, keys: Arc<Keys>) -> Self {
        Self { store, keys }
    }

    /// Keeps a new grant until `grant.ends`; with a refresh token, if it is to have one.
    pub(super) async fn begin(
        &self,
        id: &GrantId,
        grant: &mut Grant,
        is_refreshable: bool,
    ) -> Result<Option<RefreshToken>, GrantsError> {
        let token = is_refreshable.then(|| RefreshToken::draw(id));
        grant.refresh = token.as_ref().map(|token| hash(&token.0));
        let put =
            self.store
                .put_if_absent(key(id), self.seal(id, grant), UnixSeconds::new(grant.ends), now());
        // 128 random bits do not collide; if they did, the tokens would not be good.
        let (Put::Done(_) | Put::Exists) = put.await?;
        Ok(token)
    }

    /// Returns the grant, while it is good.
    pub(crate) async fn find(&self, id: &GrantId) -> Result<Option<Grant>, GrantsError> {
        Ok(self.read(id).await?.map(|(grant, _)| grant))
    }

    /// Returns the grant that a refresh token names. Whether the token is good, [`Self::rotate`] says.
    pub(super) async fn named_by(&self, token: &str) -> Result<Option<Grant>, GrantsError> {
        match RefreshToken::grant(token) {
            Some(id) => self.find(&id).await,
            None => Ok(None),
        }
    }

    /// Takes a grant back, and all its tokens with it.
    pub(crate) async fn revoke(&self, id: &GrantId) -> Result<(), GrantsError> {
        Ok(self.store.delete(key(id)).await?)
    }

    /// Puts a new refresh token in the place of a client's old one, and lets the grant end at `ends` (Unix seconds).
    pub(crate) async fn rotate(
        &self,
        token: &str,
        client: &Client,
        ends: u64,
    ) -> Result<Rotated, GrantsError> {
        let Some(id) = RefreshToken::grant(token) else {
            return Ok(Rotated::Unknown);
        };
        let Some((mut grant, read)) = self.read(&id).await? else {
            return Ok(Rotated::Unknown);
        };
        let Some(current) = grant.refresh.as_ref().filter(|_| grant.is_of(client)) else {
            return Ok(Rotated::Unknown);
        };
        if !bool::from(current.as_bytes().ct_eq(hash(token).as_bytes())) {
            self.revoke(&id).await?;
            return Ok(Rotated::Reused);
        }
        let fresh = RefreshToken::draw(&id);
        grant.refresh = Some(hash(&fresh.0));
        grant.ends = ends;
        let swap = self.store.compare_and_set(
            key(&id),
            read,
            self.seal(&id, &grant),
            UnixSeconds::new(ends),
            now(),
        );
        match swap.await? {
            Swap::Done(_) => Ok(Rotated::Fresh(id, Box::new(grant), fresh)),
            // The same token a second time, at the same time.
            Swap::Conflict => {
                self.revoke(&id).await?;
                Ok(Rotated::Reused)
            }
            Swap::Gone => Ok(Rotated::Unknown),
        }
    }

    async fn read(&self, id: &GrantId) -> Result<Option<(Grant, Version)>, GrantsError> {
        if id.0.len() > MAX_ID {
            return Ok(None);
        }
        let Some(found) = self.store.get(key(id), now()).await? else {
            return Ok(None);
        };
        let plain = self.keys.vault().open(&context(id), &found.value);
        let grant = serde_json::from_slice(&plain.ok_or(GrantsError::Unreadable)?);
        Ok(Some((grant.map_err(|_| GrantsError::Unreadable)?, found.version)))
    }

    fn seal(&self, id: &GrantId, grant: &Grant) -> Vec<u8> {
        let plain = serde_json::to_vec(grant).expect("texts and numbers always serialize");
        self.keys.vault().seal(&context(id), &plain)
    }
}

/// Characters of a grant's id.
const MAX_ID: usize = 22;

fn hash(token: &str) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(token.as_bytes()))
}

fn context(id: &GrantId) -> String {
    format!("grant:{}", id.0)
}

fn key(id: &GrantId) -> Key<'_> {
    Key {
        space: Space::Grant,
        id: &id.0,
    }
}

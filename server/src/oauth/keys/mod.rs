//! The keys of this server: what it signs tokens with, and what it seals its records with.
//!
//! `ciba-server init` makes them, [`rotate`] replaces them, a server that runs reads them again.

mod folder;
mod key;
mod plan;
mod ring;
#[cfg(test)]
mod tests;
mod vault;

use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use axum::body::Bytes;
use serde::Serialize;

pub(crate) use self::folder::Error;
use self::folder::{Folder, Stamp};
pub(crate) use self::key::KeyError;
pub(crate) use self::plan::State;
use self::plan::{PUBLISHED_BEFORE, Plan, Planned};
use self::ring::Ring;
pub(crate) use self::vault::Vault;
use crate::clock::now;
use crate::oauth::alg::Alg;
use crate::oauth::jwt::{Claims, Jws};
use crate::random::random;

/// Bytes of a token of ours.
const MAX_TOKEN: usize = 32 * 1024;

/// The keys of one server.
pub(crate) struct Keys {
    place: Place,
    /// How long a retired key stays published, seconds (C-032).
    kept: u64,
    vault: Vault,
}

enum Place {
    /// Drawn when the first is asked for: RSA keys take a while, and `ciba-server dev` is to start at once.
    Memory(OnceLock<Arc<Ring>>),
    Folder(Folder, RwLock<(Stamp, Arc<Ring>)>),
}

impl Keys {
    /// Reads the keys in a folder; without one they are drawn, and gone with this process. A retired key is `kept` for so many
    /// seconds.
    pub(crate) fn open(folder: Option<&Path>, kept: u64) -> Result<Self, Error> {
        let Some(path) = folder else {
            return Ok(Self {
                place: Place::Memory(OnceLock::new()),
                kept,
                vault: Vault::new(&random()),
            });
        };
        let folder = Folder::at(path);
        let read = read(&folder, kept)?;
        let vault = Vault::new(&*folder.seal()?);
        Ok(Self {
            place: Place::Folder(folder, RwLock::new(read)),
            kept,
            vault,
        })
    }

    /// Returns the key set (RFC 7517 §5) as JSON: public halves alone (C-030).
    pub(crate) fn public(&self) -> Bytes {
        self.ring().public.clone()
    }

    /// Signs claims as a JWT of this type (`typ`).
    pub(crate) fn sign(&self, alg: Alg, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        let ring = self.ring();
        let key = ring.current(alg, now().seconds()).ok_or(KeyError::Sign)?;
        key.sign(typ, claims)
    }

    /// Returns the claims of a token of this type that one of these keys signed, a retired one included. Whether they still
    /// hold is up to the caller.
    pub(crate) fn verify(&self, typ: &str, token: &str) -> Option<Claims> {
        let token = Jws::read(token, MAX_TOKEN).filter(|token| token.typ() == Some(typ))?;
        let ring = self.ring();
        token.claims_signed_with(&ring.find(token.kid()?)?.public)
    }

    /// Returns what seals records.
    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Reads the keys again if they were changed, or if one of them has had its time. What is wrong then is an error, and
    /// the keys stay as they were.
    pub(crate) fn refresh(&self) -> Result<(), Error> {
        let Place::Folder(folder, known) = &self.place else {
            return Ok(());
        };
        let is_new = {
            let (stamp, ring) = &*known.read().unwrap_or_else(PoisonError::into_inner);
            *stamp == folder.stamp()? && ring.is_complete(self.kept, now().seconds())
        };
        if !is_new {
            let again = read(folder, self.kept)?;
            *known.write().unwrap_or_else(PoisonError::into_inner) = again;
            tracing::info!("the signing keys were read again");
        }
        Ok(())
    }

    fn ring(&self) -> Arc<Ring> {
        match &self.place {
            Place::Memory(ring) => {
                let drawn = || Arc::new(Ring::drawn().expect("the system's generator works"));
                Arc::clone(ring.get_or_init(drawn))
            }
            Place::Folder(_, known) => Arc::clone(&known.read().unwrap_or_else(PoisonError::into_inner).1),
        }
    }
}

/// Reads the keys that are to be published.
fn read(folder: &Folder, kept: u64) -> Result<(Stamp, Arc<Ring>), Error> {
    let mut plan = folder.plan()?;
    // Before the keys: a list that changes meanwhile is then read once more.
    let stamp = folder.stamp()?;
    plan.drop_old(kept, now().seconds());
    let keys: Result<_, _> = plan.keys.iter().map(|key| folder.key(key)).collect();
    Ok((stamp, Arc::new(Ring::new(plan, keys?))))
}

/// What became of [`make`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// The keys are new.
    New,
    /// They were there already, and stay as they are.
    Before,
}

/// Makes the keys in a folder, once.
pub(crate) fn make(path: &Path) -> Result<Made, Error> {
    let folder = Folder::at(path);
    folder.make()?;
    let _locked = folder.lock()?;
    match folder.plan() {
        Err(Error::Missing(_)) => {}
        read => return read.and(folder.seal().map(drop)).map(|()| Made::Before),
    }
    folder.seal()?;
    let now = now().seconds();
    let mut plan = Plan::default();
    for alg in Alg::ALL {
        add(&folder, &mut plan, alg, now, now)?;
    }
    folder.list(&plan)?;
    Ok(Made::New)
}

/// When a new key is to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signs {
    /// After it was published long enough for clients to have it.
    Later,
    /// At once.
    Now,
}

/// Gives every algorithm a new key, unless one waits already; and drops those that have been retired for `kept` seconds.
pub(crate) fn rotate(path: &Path, kept: u64, signs: Signs) -> Result<(), Error> {
    let folder = Folder::at(path);
    let _locked = folder.lock()?;
    let mut plan = folder.plan()?;
    let now = now().seconds();
    plan.drop_old(kept, now);
    for alg in Alg::ALL {
        if plan.next(alg, now).is_none() {
            add(&folder, &mut plan, alg, now, now.saturating_add(PUBLISHED_BEFORE))?;
        }
        if signs == Signs::Now {
            plan.hurry(alg, now);
        }
    }
    folder.list(&plan)
}

fn add(folder: &Folder, plan: &mut Plan, alg: Alg, published: u64, signs_from: u64) -> Result<(), Error> {
    let key = folder.draw(alg)?;
    plan.add(Planned {
        kid: key.kid,
        alg,
        published,
        signs_from,
    });
    Ok(())
}

/// Returns a private key of no server, and its public half as a JWK.
#[cfg(test)]
pub(crate) fn strangers_key(alg: Alg) -> (jsonwebtoken::EncodingKey, serde_json::Value) {
    let key = key::SigningKey::read(alg, &key::draw(alg).expect("a key")).expect("a key");
    let public = serde_json::to_value(&key.public).expect("a JWK");
    (key.into_private(), public)
}

/// One key, for an operator to look at.
pub(crate) struct Listed {
    pub(crate) kid: String,
    pub(crate) alg: Alg,
    pub(crate) state: State,
    /// Unix seconds; from then on it signs, until another key of its algorithm does.
    pub(crate) signs_from: u64,
}

/// Returns the keys in a folder.
pub(crate) fn list(path: &Path) -> Result<Vec<Listed>, Error> {
    let folder = Folder::at(path);
    let plan = folder.plan()?;
    let now = now().seconds();
    let listed = plan.keys.iter().map(|key| Listed {
        kid: key.kid.clone(),
        alg: key.alg,
        state: plan.state(key, now),
        signs_from: key.signs_from,
    });
    Ok(listed.collect())
}

//! The signing keys as one server has them: read once, looked up by algorithm or `kid`.

use axum::body::Bytes;
use jsonwebtoken::jwk::JwkSet;

use super::key::{KeyError, SigningKey, draw};
use super::plan::{Plan, Planned};
use crate::oauth::alg::Alg;

/// The listed keys.
pub(super) struct Ring {
    plan: Plan,
    keys: Vec<SigningKey>,
    /// The key set (RFC 7517 §5) of all of them, as JSON.
    pub(super) public: Bytes,
}

impl Ring {
    pub(super) fn new(plan: Plan, keys: Vec<SigningKey>) -> Self {
        let set = JwkSet {
            keys: keys.iter().map(|key| key.public.clone()).collect(),
        };
        let public = serde_json::to_vec(&set).expect("a key set is plain JSON").into();
        Self { plan, keys, public }
    }

    /// Draws a ring that only this process has. It takes some 200 ms, for the RSA keys.
    pub(super) fn drawn() -> Result<Self, KeyError> {
        let keys: Result<Vec<_>, _> = Alg::ALL
            .into_iter()
            .map(|alg| SigningKey::read(alg, &draw(alg)?))
            .collect();
        let keys = keys?;
        let mut plan = Plan::default();
        for key in &keys {
            plan.add(Planned {
                kid: key.kid.clone(),
                alg: key.alg,
                published: 0,
                signs_from: 0,
            });
        }
        Ok(Self::new(plan, keys))
    }

    /// Returns the key that signs.
    pub(super) fn current(&self, alg: Alg, now: u64) -> Option<&SigningKey> {
        self.find(&self.plan.current(alg, now)?.kid)
    }

    /// Returns a key, whether it signs or not.
    pub(super) fn find(&self, kid: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// Whether all keys are still to be published.
    pub(super) fn is_complete(&self, kept: u64, now: u64) -> bool {
        let mut plan = self.plan.clone();
        plan.drop_old(kept, now);
        plan == self.plan
    }
}

//! A person on the way to the identity provider and back: what is remembered under `state`, once.

use std::sync::Arc;

use device_proto::RequestId;
use serde::{Deserialize, Serialize};
use store::{Key, Put, Space, Store};
use subtle::ConstantTimeEq as _;

use super::browser::Browser;
use crate::clock::now;
use crate::token::Redeem;

/// How long the way to the provider and back may take, seconds.
const VALID: u64 = 600;

/// Under `state` in the store. Useless without the code and without the browser's cookie.
#[derive(Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) purpose: Purpose,
    pub(super) redeem: Redeem,
    /// SHA-256 of the browser's cookie: the browser that set out is the one that comes back (RFC 6749 §10.12).
    browser: String,
}

/// What the person signs in for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    /// The session of a device.
    Device {
        /// Which one.
        session: RequestId,
    },
    /// A session of the browser itself.
    Browser {
        /// Where the browser is brought afterwards. It may name a request that waits for the person (its `auth_req_id`),
        /// so it is sealed by the browser.
        to: String,
        /// When the person was asked to prove anew who they are, Unix seconds; `None`: they were not.
        fresh_since: Option<u64>,
    },
}

/// The attempts in the store.
pub(super) struct Attempts(Arc<dyn Store>);

impl Attempt {
    pub(super) fn new(purpose: Purpose, redeem: Redeem, browser: &Browser) -> Self {
        Self {
            purpose,
            redeem,
            browser: browser.print(),
        }
    }

    /// Whether this browser is the one that set out.
    pub(super) fn is_of(&self, browser: &Browser) -> bool {
        browser.print().as_bytes().ct_eq(self.browser.as_bytes()).into()
    }
}

impl Attempts {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// Remembers an attempt until it comes back.
    pub(super) async fn keep(&self, state: &str, attempt: &Attempt) -> Result<(), store::Error> {
        let value = serde_json::to_vec(attempt).expect("texts always serialize");
        let put = self.0.put_if_absent(key(state), value, now().plus(VALID), now());
        // 128 random bits do not collide; if they did, the cookie would be refused when the person comes back.
        let (Put::Done(_) | Put::Exists) = put.await?;
        Ok(())
    }

    /// Takes an attempt out: a second callback with the same state finds nothing (D-022).
    pub(super) async fn take(&self, state: &str) -> Result<Option<Attempt>, store::Error> {
        let value = self.0.take(key(state), now()).await?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }
}

fn key(state: &str) -> Key<'_> {
    Key {
        space: Space::Login,
        id: state,
    }
}

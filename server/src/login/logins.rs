//! The logins of this server: what every part of this room works with.

use std::ops::Deref;
use std::sync::Arc;

use store::Store;
use tokio_util::task::TaskTracker;
use url::Url;

use super::attempt::Attempts;
use super::people::People;
use crate::config::{Config, Confirm};
use crate::device::Sessions;
use crate::throttle::{Network, Throttle};
use crate::token::Provider;

/// A handle that is cheap to clone.
#[derive(Clone)]
pub(crate) struct Logins(Arc<Parts>);

/// What the handle leads to.
pub(crate) struct Parts {
    pub(super) attempts: Attempts,
    pub(super) sessions: Sessions,
    /// `None`: nobody is asked for consent here, so people sign in to their devices alone.
    pub(super) people: Option<People>,
    pub(super) provider: Arc<Provider>,
    /// The issuer, exactly as the provider names itself.
    pub(super) issuer: String,
    /// Whether the person compares the code first (D-020).
    pub(super) confirm: Confirm,
    /// How browsers reach us; ends with a slash.
    pub(super) public_url: Url,
    /// Logins that browsers set out for.
    pub(super) departures: Throttle<Network>,
    /// What has to be finished even when the browser has left.
    pub(super) tasks: TaskTracker,
}

impl Deref for Logins {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Logins {
    /// Makes the logins of a server.
    pub(crate) fn new(
        config: &Config,
        public_url: Url,
        store: Arc<dyn Store>,
        (sessions, people): (Sessions, Option<People>),
        provider: Arc<Provider>,
        tasks: TaskTracker,
    ) -> Self {
        Self(Arc::new(Parts {
            attempts: Attempts::new(store),
            sessions,
            people,
            provider,
            issuer: config.login.issuer.clone(),
            confirm: config.login.confirm,
            public_url,
            departures: Throttle::per_minute(config.limits.logins_per_minute),
            tasks,
        }))
    }

    /// Forgets the addresses that have been quiet.
    pub(crate) fn forget_quiet(&self) {
        self.departures.forget_quiet();
    }
}

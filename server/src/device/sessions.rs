//! The device sessions of this server: what every part of this room works with.

use std::ops::Deref;
use std::sync::Arc;

use device_proto::RequestId;
use store::Store;
use url::Url;

use super::approver::Approver;
use super::limits;
use super::records::Records;
use super::registry::Registry;
use crate::config::{Config, ResourceRule};
use crate::serve::Work;
use crate::shutdown::Shutdown;
use crate::throttle::{Network, Throttle};
use crate::token::Provider;

/// A handle that is cheap to clone.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Parts>);

/// What the handle leads to.
pub(crate) struct Parts {
    pub(super) records: Records,
    pub(super) registry: Registry,
    pub(super) provider: Arc<Provider>,
    /// What decides about the requests that devices are shown.
    pub(super) approver: Arc<dyn Approver>,
    /// Which resources devices get tokens for.
    pub(super) rules: Vec<ResourceRule>,
    /// How browsers reach us; ends with a slash.
    pub(super) public_url: Url,
    /// How long a login may take, seconds.
    pub(super) login_expires_in: u64,
    /// Logins begun by devices.
    pub(super) logins: Throttle<Network>,
    /// What one session asks of us.
    pub(super) asks: Throttle<RequestId>,
    /// What one session asks of the provider.
    pub(super) renewals: Throttle<RequestId>,
    pub(super) exchanges: Throttle<RequestId>,
    pub(super) shutdown: Shutdown,
    pub(super) work: Work,
}

impl Deref for Sessions {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Sessions {
    /// Makes the sessions of a server; none of them has its device yet.
    pub(crate) fn new(
        config: &Config,
        public_url: Url,
        store: Arc<dyn Store>,
        (provider, approver): (Arc<Provider>, Arc<dyn Approver>),
        (shutdown, work): (Shutdown, Work),
    ) -> Self {
        Self(Arc::new(Parts {
            records: Records::new(store),
            registry: Registry::default(),
            provider,
            approver,
            rules: config.resources.clone(),
            public_url,
            login_expires_in: config.limits.login_expires_in,
            logins: Throttle::per_minute(config.limits.logins_per_minute),
            asks: limits::asks(),
            renewals: limits::renewals(),
            exchanges: limits::exchanges(),
            shutdown,
            work,
        }))
    }

    /// Forgets the addresses and sessions that have been quiet.
    pub(crate) fn forget_quiet(&self) {
        self.logins.forget_quiet();
        self.asks.forget_quiet();
        self.renewals.forget_quiet();
        self.exchanges.forget_quiet();
    }
}

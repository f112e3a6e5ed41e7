//! What every handler may reach, and how it is built: everything is checked here, before anything is served.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use device_proto::RequestId;
use store::{OpenMode, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::config::Config;
use crate::device::{Registry, Sessions, Throttle};
use crate::token::Provider;
use crate::{device, http, login};

/// The server's parts; a handle that is cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The server's parts.
pub struct Parts {
    pub(crate) config: Config,
    /// How browsers and devices reach us; ends with a slash.
    pub(crate) public_url: Url,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sessions: Sessions,
    pub(crate) registry: Registry,
    pub(crate) provider: Provider,
    /// Logins begun by devices, and logins that browsers set out for.
    pub(crate) devices: Throttle,
    pub(crate) browsers: Throttle,
    /// What sessions ask of the provider.
    pub(crate) renewals: Throttle<RequestId>,
    pub(crate) exchanges: Throttle<RequestId>,
    /// Cancelled when the server is to leave.
    pub(crate) leaving: CancellationToken,
    /// What has to come to its end before the server is gone.
    pub(crate) tasks: TaskTracker,
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Opens the store and prepares everything that could fail.
    ///
    /// # Errors
    ///
    /// What is wrong, with what was attempted.
    pub fn build(config: Config, public_url: Url, leaving: CancellationToken) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        // A server that made a new store by itself would forget everybody in silence when the old one is gone.
        let store = store::open(&config.store, OpenMode::Alone).context("opening the store")?;
        let callback = public_url
            .join("auth/callback")
            .context("making the callback's URL")?;
        let provider = Provider::new(&config.login, callback).context("preparing the identity provider")?;
        Ok(Self(Arc::new(Parts {
            sessions: Sessions::new(Arc::clone(&store)),
            registry: Registry::default(),
            devices: Throttle::new(config.limits.logins_per_minute),
            browsers: Throttle::new(config.limits.logins_per_minute),
            renewals: Throttle::renewals(),
            exchanges: Throttle::exchanges(),
            provider,
            store,
            public_url,
            config,
            leaving,
            tasks: TaskTracker::new(),
        })))
    }

    /// Returns every route the server has, and `more` beside them.
    pub fn routes(&self, more: Router) -> Router {
        let pages = login::routes().merge(http::assets());
        let api = device::routes().route("/healthz", get(http::healthz));
        http::guarded(api.merge(pages).with_state(self.clone()).merge(more))
    }
}

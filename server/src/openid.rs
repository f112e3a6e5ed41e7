//! The OpenID provider that this server is: how the rooms `oauth` and `ciba` are put together.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use store::Store;
use url::Url;

use crate::browser;
use crate::cause::chain;
use crate::ciba::deliver::Deliveries;
use crate::ciba::notify::Notifier;
use crate::ciba::{self, Ciba, Ground, Terminals};
use crate::config::Config;
use crate::oauth;
use crate::oauth::authenticate::Authenticator;
use crate::oauth::client::CIBA_GRANT;
use crate::oauth::clients::Clients;
use crate::oauth::grants::Grants;
use crate::oauth::issue::Issuer;
use crate::oauth::issuer::issuer;
use crate::oauth::jwt::ClientKeys;
use crate::oauth::keys::Keys;
use crate::oauth::token_endpoint::{GrantTypes, TokenEndpoint};
use crate::oauth::used::Used;
use crate::outgoing::UntrustedHttp;
use crate::serve::Work;
use crate::shutdown::Shutdown;
use crate::users::Users;

/// The provider; a handle that is cheap to clone.
#[derive(Clone)]
pub(crate) struct OpenId {
    token_endpoint: Arc<TokenEndpoint>,
    pub(crate) ciba: Ciba,
}

/// What the provider stands on.
pub(crate) struct Foundation {
    pub(crate) public_url: Url,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) users: Arc<Users>,

    pub(crate) browsers: Arc<browser::Sessions>,
    pub(crate) terminals: Arc<dyn Terminals>,
    /// Whether our own issuer is on loopback (C-404).
    pub(crate) is_on_loopback: bool,
    pub(crate) shutdown: Shutdown,
    pub(crate) work: Work,
}

impl OpenId {
    /// Puts the provider together; `None`: the configuration does not switch it on.
    pub(crate) fn new(config: &Config, on: Foundation) -> anyhow::Result<Option<Self>> {
        let Some(ciba) = config.ciba.clone() else {
            return Ok(None);
        };
        let name = issuer(&on.public_url);
        let url = format!("{name}{}", oauth::token_endpoint::PATH);
        let http = UntrustedHttp::new(&config.outgoing, on.is_on_loopback);
        let http = http.context("preparing calls to clients")?;
        let client_keys = Arc::new(ClientKeys::new(http.clone()));
        let used = Arc::new(Used::new(Arc::clone(&on.store)));
        let known = (Arc::clone(&client_keys), Arc::clone(&used));
        let authenticator = Authenticator::new(Arc::clone(&on.clients), known, name.clone(), &config.oauth);
        let authenticator = Arc::new(authenticator);
        let grants = Grants::new(Arc::clone(&on.store), Arc::clone(&on.keys));
        let issuer = Arc::new(Issuer::new(name, on.keys, grants, &config.oauth));
        let (tasks, forced) = (&on.work.tasks, on.shutdown.forced());
        let deliveries = Deliveries::new(http, tasks.clone(), forced.clone());
        let authorities = &config.outgoing.authorities;
        let notifier = Notifier::new(&ciba.notify, authorities, tasks.clone(), forced.clone())?;
        let ground = Ground {
            public_url: on.public_url,
            store: on.store,
            authenticator: Arc::clone(&authenticator),
            clients: on.clients,
            users: on.users,
            issuer,
            browsers: on.browsers,
            terminals: on.terminals,
            deliveries,
            notifier,
            client_keys,
            used,
            shutdown: on.shutdown,
            work: on.work,
        };
        let ciba = Ciba::new(ciba, config.oauth.clone(), ground)?;
        let mut grant_types = GrantTypes::new();
        grant_types.insert(CIBA_GRANT, Arc::new(ciba.clone()));
        let token_endpoint = Arc::new(TokenEndpoint {
            authenticator,
            grant_types,
            url,
        });
        Ok(Some(Self { token_endpoint, ciba }))
    }

    pub(crate) fn routes(&self) -> Router {
        oauth::routes(Arc::clone(&self.token_endpoint)).merge(ciba::routes(self.ciba.clone()))
    }

    /// Takes up what an earlier process left undecided.
    pub(crate) async fn resume(&self) {
        if let Err(error) = self.ciba.resume().await {
            tracing::error!(error = chain(&error), "the undecided requests could not be read");
        }
    }

    /// Forgets what has expired, and who has been quiet.
    pub(crate) async fn sweep(&self) {
        self.ciba.sweep().await;
    }
}

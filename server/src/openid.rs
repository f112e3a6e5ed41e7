//! The OpenID provider that this server is: how the rooms `oauth` and `ciba` are put together.

use std::sync::Arc;

use axum::Router;
use store::Store;
use url::Url;

use crate::browser;
use crate::cause::chain;
use crate::ciba::deliver::Deliveries;
use crate::ciba::notify::Notifier;
use crate::ciba::{self, Ciba, Ground, Terminals};
use crate::config::{self, Config};
use crate::oauth;
use crate::oauth::authenticate::{Authenticator, Origins};
use crate::oauth::client::{CIBA_GRANT, CLIENT_CREDENTIALS_GRANT, REFRESH_GRANT};
use crate::oauth::client_credentials::ClientCredentials;
use crate::oauth::clients::Clients;
use crate::oauth::configured;
use crate::oauth::discovery;
use crate::oauth::grants::Grants;
use crate::oauth::issue::Issuer;
use crate::oauth::issuer::issuer;
use crate::oauth::jwt::ClientKeys;
use crate::oauth::keys::Keys;
use crate::oauth::offer::Offer;
use crate::oauth::refresh::Refresh;
use crate::oauth::register::{self, Registrations};
use crate::oauth::token_endpoint::{GrantTypes, TokenEndpoint};
use crate::oauth::used::Used;
use crate::oauth::userinfo::UserInfo;
use crate::outgoing::UntrustedHttp;
use crate::serve::Work;
use crate::shutdown::Shutdown;
use crate::tls::Authority;
use crate::users::Users;

/// The provider; a handle that is cheap to clone.
#[derive(Clone)]
pub(crate) struct OpenId {
    /// Its name, and what it offers.
    issuer: String,
    offer: Arc<Offer>,
    keys: Arc<Keys>,
    registrations: Registrations,
    token_endpoint: Arc<TokenEndpoint>,
    userinfo: Arc<UserInfo>,
    /// `None`: the configuration does not switch it on.
    pub(crate) ciba: Option<Ciba>,
}

/// What the provider stands on.
pub(crate) struct Foundation {
    pub(crate) public_url: Url,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) users: Arc<Users>,
    /// Whom certificates of clients come from.
    pub(crate) authority: Option<Arc<Authority>>,
    pub(crate) browsers: Arc<browser::Sessions>,
    pub(crate) terminals: Arc<dyn Terminals>,
    pub(crate) shutdown: Shutdown,
    pub(crate) work: Work,
}

/// What answers for clients, whether people are asked or not.
struct Front {
    clients: Arc<Clients>,
    http: UntrustedHttp,
    client_keys: Arc<ClientKeys>,
    used: Arc<Used>,
    authenticator: Arc<Authenticator>,
    issuer: Arc<Issuer>,
}

impl OpenId {
    /// Puts the provider together.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration of clients, calls and notifications.
    pub(crate) fn new(config: &Config, on: Foundation) -> anyhow::Result<Self> {
        let (issuer, offer) = (
            issuer(&on.public_url),
            Arc::new(Offer::of(config, &on.public_url)),
        );
        let front = Front::new(config, &offer, &on)?;
        let registrations = Registrations::new(&config.oauth, Arc::clone(&offer), Arc::clone(&front.clients));
        let mut grant_types = own_grants(config, &front.issuer, &on.users);
        let keys = Arc::clone(&on.keys);
        let authenticator = Arc::clone(&front.authenticator);
        let userinfo = Arc::new(UserInfo {
            issuer: Arc::clone(&front.issuer),
            clients: Arc::clone(&front.clients),
            users: Arc::clone(&on.users),
        });
        let asking = config.ciba.clone().map(|ciba| asking(ciba, config, on, front));
        let ciba = asking.transpose()?;
        if let Some(ciba) = &ciba {
            grant_types.insert(CIBA_GRANT, Arc::new(ciba.clone()));
        }
        let token_endpoint = Arc::new(TokenEndpoint {
            authenticator,
            grant_types,
        });
        Ok(Self {
            issuer,
            offer,
            keys,
            registrations,
            token_endpoint,
            userinfo,
            ciba,
        })
    }

    pub(crate) fn routes(&self) -> Router {
        let asking = self.ciba.clone().map(ciba::routes).unwrap_or_default();
        oauth::routes(Arc::clone(&self.token_endpoint), Arc::clone(&self.userinfo))
            .merge(discovery::routes(
                &self.issuer,
                &self.offer,
                Arc::clone(&self.keys),
            ))
            .merge(register::routes(self.registrations.clone()))
            .merge(asking)
    }

    /// Returns what clients ask with a certificate: no page for people.
    pub(crate) fn client_routes(&self) -> Router {
        let asking = self.ciba.clone().map(ciba::client_routes).unwrap_or_default();
        oauth::routes(Arc::clone(&self.token_endpoint), Arc::clone(&self.userinfo)).merge(asking)
    }

    /// Takes up what an earlier process left undecided.
    pub(crate) async fn resume(&self) {
        let Some(ciba) = &self.ciba else { return };
        if let Err(error) = ciba.resume().await {
            tracing::error!(error = chain(&error), "the undecided requests could not be read");
        }
    }

    /// Forgets what has expired, and who has been quiet; looks for new keys.
    pub(crate) async fn sweep(&self) {
        match &self.ciba {
            Some(ciba) => ciba.sweep().await,
            None => self.token_endpoint.authenticator.forget_quiet(),
        }
        if let Err(error) = self.keys.refresh() {
            tracing::error!(
                error = chain(&error),
                "the new signing keys cannot be used; the old ones stay"
            );
        }
        self.registrations.forget_quiet();
    }
}

impl Front {
    fn new(config: &Config, offer: &Offer, on: &Foundation) -> anyhow::Result<Self> {
        let name = issuer(&on.public_url);
        let configured = configured::clients(&config.clients, offer)?;
        let clients = Arc::new(Clients::new(configured, Arc::clone(&on.store)));
        let http = UntrustedHttp::new(&config.outgoing, offer.loopback);
        let client_keys = Arc::new(ClientKeys::new(http.clone()));
        let used = Arc::new(Used::new(Arc::clone(&on.store), config.oauth.jwts_per_minute));
        let known = (Arc::clone(&client_keys), Arc::clone(&used));
        let authenticator = Authenticator::new(
            Arc::clone(&clients),
            known,
            on.authority.clone(),
            Origins {
                issuer: name.clone(),
                mtls: offer.mtls_origin.clone(),
            },
            &config.oauth,
        );
        let grants = Grants::new(Arc::clone(&on.store), Arc::clone(&on.keys));
        Ok(Self {
            clients,
            http,
            client_keys,
            used,
            authenticator: Arc::new(authenticator),
            issuer: Arc::new(Issuer::new(name, Arc::clone(&on.keys), grants, &config.oauth)),
        })
    }
}

/// Returns the grants that need no person.
fn own_grants(config: &Config, issuer: &Arc<Issuer>, users: &Arc<Users>) -> GrantTypes {
    let refresh = Refresh {
        issuer: Arc::clone(issuer),
        users: Arc::clone(users),
        oauth: config.oauth.clone(),
    };
    let client_credentials = ClientCredentials {
        issuer: Arc::clone(issuer),
        oauth: config.oauth.clone(),
    };
    let mut grants = GrantTypes::new();
    grants.insert(REFRESH_GRANT, Arc::new(refresh));
    grants.insert(CLIENT_CREDENTIALS_GRANT, Arc::new(client_credentials));
    grants
}

/// Returns what asks people for their consent.
fn asking(ciba: config::Ciba, config: &Config, on: Foundation, front: Front) -> anyhow::Result<Ciba> {
    let (tasks, forced) = (&on.work.tasks, on.shutdown.forced());
    let authorities = &config.outgoing.authorities;
    let ground = Ground {
        public_url: on.public_url,
        store: on.store,
        authenticator: front.authenticator,
        clients: front.clients,
        users: on.users,
        issuer: front.issuer,
        browsers: on.browsers,
        terminals: on.terminals,
        deliveries: Deliveries::new(front.http, tasks.clone(), forced.clone()),
        notifier: Notifier::new(&ciba.notify, authorities, tasks.clone(), forced.clone())?,
        client_keys: front.client_keys,
        used: front.used,
        shutdown: on.shutdown.clone(),
        work: on.work.clone(),
    };
    Ciba::new(ciba, config.oauth.clone(), ground)
}

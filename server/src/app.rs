//! The server's parts, and how they are put together: everything that can fail fails here, before anything is served.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use store::{OpenMode, Store};
use url::Url;

use crate::browser;
use crate::cause::chain;
use crate::clock::now;
use crate::config::Config;
use crate::device::{self, Sessions};
use crate::guard::guarded;
use crate::login::{self, Logins, People};
use crate::oauth::keys::{self, Keys};
use crate::openid::{Foundation, OpenId};
use crate::page;
use crate::peer::{Believed, addressed};
use crate::serve::Work;
use crate::shutdown::Shutdown;
use crate::terminals::Meeting;
use crate::tls::Tls;
use crate::token::Provider;
use crate::users::{User, Users};

/// Records removed at once: the store's writer is busy meanwhile.
const SWEEP_AT_ONCE: usize = 100;

/// The server's parts; a handle that is cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    /// How browsers and devices reach us; ends with a slash.
    pub(crate) public_url: Url,
    pub(crate) shutdown: Shutdown,
    pub(crate) work: Work,
    store: Arc<dyn Store>,
    sessions: Sessions,
    logins: Logins,
    /// `None`: there are neither clients nor keys.
    openid: Option<OpenId>,
    pub(crate) tls: Arc<Tls>,
    believed: Believed,
}

impl App {
    /// Opens the store and prepares everything that could fail.
    ///
    /// # Errors
    ///
    /// What is wrong, with what was attempted.
    pub(crate) fn build(config: &Config, public_url: Url, shutdown: Shutdown) -> anyhow::Result<Self> {
        // A server that made a new store by itself would forget all logins in silence when the old one is gone.
        let store = store::open(&config.store, OpenMode::Alone).context("opening the store")?;
        let tls = Arc::new(Tls::open(&config.tls).context("preparing TLS")?);
        let keys = keys(config).context("opening the keys")?;
        let callback = public_url
            .join("auth/callback")
            .context("making the callback's URL")?;
        let provider = Provider::new(&config.login, callback).context("preparing the identity provider")?;
        let (provider, work) = (Arc::new(provider), Work::default());
        let meeting = Meeting::default();
        let sessions = Sessions::new(
            config,
            public_url.clone(),
            Arc::clone(&store),
            (Arc::clone(&provider), Arc::new(meeting.clone())),
            (shutdown.clone(), work.clone()),
        );
        let order = config.ciba.as_ref().map(|ciba| ciba.login_hint.clone());
        let users = Arc::new(Users::new(
            config.users.iter().map(User::from).collect(),
            order.unwrap_or_default(),
            Arc::clone(&store),
        ));
        let browsers = Arc::new(browser::Sessions::new(Arc::clone(&store), public_url.clone()));
        let people = People {
            users: Arc::clone(&users),
            browsers: Arc::clone(&browsers),
        };
        let logins = Logins::new(
            config,
            public_url.clone(),
            Arc::clone(&store),
            (sessions.clone(), config.ciba.as_ref().map(|_| people)),
            provider,
            work.tasks.clone(),
        );
        let foundation = |keys| Foundation {
            public_url: public_url.clone(),
            store: Arc::clone(&store),
            keys: Arc::new(keys),
            users,
            authority: tls.authority(),
            browsers,
            terminals: Arc::new(meeting.clone()),
            shutdown: shutdown.clone(),
            work: work.clone(),
        };
        let openid = keys
            .map(|keys| OpenId::new(config, foundation(keys)))
            .transpose()?;
        if let Some(ciba) = openid.as_ref().and_then(|openid| openid.ciba.clone()) {
            meeting.introduce(sessions.clone(), ciba);
        }
        Ok(Self {
            openid,
            public_url,
            shutdown,
            work,
            store,
            sessions,
            logins,
            tls,
            believed: Believed {
                address: config.behind_tls_proxy,
                certificate: config.tls.is_said_by_proxy(),
            },
        })
    }

    /// Returns every route the server has, and `more` beside them.
    pub(crate) fn routes(&self, more: Router) -> Router {
        let health = Router::new().route("/healthz", get(healthz));
        let routes = health
            .with_state(Arc::clone(&self.store))
            .merge(device::routes(self.sessions.clone()))
            .merge(login::routes(self.logins.clone()))
            .merge(page::routes(&self.public_url))
            .merge(self.openid.as_ref().map(OpenId::routes).unwrap_or_default())
            .merge(more);
        addressed(guarded(routes), self.believed)
    }

    /// Returns the routes of the listener for clients with certificates. Its TLS ends here: no proxy is believed.
    pub(crate) fn client_routes(&self) -> Router {
        let routes = self.openid.as_ref().map(OpenId::client_routes);
        addressed(guarded(routes.unwrap_or_default()), Believed::default())
    }

    /// Takes up what an earlier process left.
    pub(crate) async fn resume(&self) {
        if let Some(openid) = &self.openid {
            openid.resume().await;
        }
    }

    /// Removes what has expired, forgets who has been quiet, and looks for new keys and certificates.
    pub(crate) async fn sweep(&self) {
        let is_more = async || self.store.sweep(now(), SWEEP_AT_ONCE).await;
        while is_more().await.is_ok_and(|swept| swept == SWEEP_AT_ONCE) {}
        self.sessions.forget_quiet();
        self.sessions.drop_ended_approvals();
        self.logins.forget_quiet();
        if let Some(openid) = &self.openid {
            openid.sweep().await;
        }
        if let Err(error) = self.tls.refresh() {
            tracing::error!(
                error = chain(&error),
                "the new TLS files cannot be used; the old ones stay"
            );
        }
    }
}

/// Opens the keys. A server that has served devices alone since before there were keys goes on without them: `None`.
fn keys(config: &Config) -> Result<Option<Keys>, keys::Error> {
    match Keys::open(config.keys.folder.as_deref(), config.keys.retired_for) {
        Err(keys::Error::Missing(folder)) if !config.serves_clients() => {
            tracing::info!(
                folder = %folder.display(),
                "there are no signing keys: OAuth clients are not served (`ciba-server init` makes keys)"
            );
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

/// `GET /healthz`: whether the store answers.
async fn healthz(State(store): State<Arc<dyn Store>>) -> (StatusCode, &'static str) {
    match store.ping().await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::error!(error = chain(&error), "the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n")
        }
    }
}

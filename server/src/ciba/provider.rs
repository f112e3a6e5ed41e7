//! The backchannel authentication of this server: what every part of this room works with.

use std::hash::RandomState;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use store::Store;
use url::Url;

use super::deliver::Deliveries;
use super::details;
use super::hint::{IdTokenHints, IdTokenRules, LoginTokenHints};
use super::notify::Notifier;
use super::open::Open;
use super::pending::Terminals;
use super::requests::{Requests, RequestsError};
use super::user_code::{UserCodes, WrongCodes, wrong_codes};
use crate::browser;
use crate::clock::now;
use crate::config;
use crate::oauth::authenticate::Authenticator;
use crate::oauth::clients::Clients;
use crate::oauth::issue::Issuer;
use crate::oauth::jwt::ClientKeys;
use crate::oauth::used::Used;
use crate::serve::Work;
use crate::shutdown::Shutdown;
use crate::throttle::{Network, Throttle};
use crate::users::Users;

/// A handle that is cheap to clone.
#[derive(Clone)]
pub(crate) struct Ciba(Arc<Parts>);

/// What the handle leads to.
pub(crate) struct Parts {
    pub(super) config: config::Ciba,
    pub(super) oauth: config::OAuth,
    /// How browsers reach us; ends with a slash.
    pub(super) public_url: Url,
    pub(super) requests: Requests,
    pub(super) open: Open,
    /// Of `authorization_details`.
    pub(super) types: details::Types,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) clients: Arc<Clients>,
    pub(super) users: Arc<Users>,
    pub(super) issuer: Arc<Issuer>,
    pub(super) browsers: Arc<browser::Sessions>,
    pub(super) terminals: Arc<dyn Terminals>,
    pub(super) id_token_hints: IdTokenHints,
    pub(super) login_token_hints: LoginTokenHints,
    pub(super) client_keys: Arc<ClientKeys>,
    pub(super) used: Arc<Used>,
    pub(super) deliveries: Deliveries,
    pub(super) notifier: Notifier,
    pub(super) wrong_codes: WrongCodes,
    pub(super) user_codes: UserCodes,
    /// Draws what stands for the `sub` of those who are not known here.
    pub(super) nobodys_key: RandomState,
    /// Requests of one client.
    pub(super) asks: Option<Throttle<String>>,
    /// Looks at `/ciba/verify`.
    pub(super) looks: Option<Throttle<Network>>,
    pub(super) shutdown: Shutdown,
    pub(super) work: Work,
}

/// What the provider is put together from.
pub(crate) struct Ground {
    pub(crate) public_url: Url,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) users: Arc<Users>,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) browsers: Arc<browser::Sessions>,
    pub(crate) terminals: Arc<dyn Terminals>,
    pub(crate) deliveries: Deliveries,
    pub(crate) notifier: Notifier,
    pub(crate) client_keys: Arc<ClientKeys>,
    pub(crate) used: Arc<Used>,
    pub(crate) shutdown: Shutdown,
    pub(crate) work: Work,
}

impl Deref for Ciba {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Ciba {
    /// Makes the provider's part that asks people.
    ///
    /// # Errors
    ///
    /// The configured keys of an issuer of hints, or the schema of a type of details, are none.
    pub(crate) fn new(config: config::Ciba, oauth: config::OAuth, ground: Ground) -> anyhow::Result<Self> {
        let tolerance = oauth.clock_tolerance;
        let rules = IdTokenRules {
            issuer: ground.issuer.name.clone(),
            secret: config.id_token_hint_secret.clone(),
            age: config.id_token_hint_age,
            tolerance,
        };
        let login_tokens = LoginTokenHints::new(&config.login_hint_token, &ground.issuer.name, tolerance);
        Ok(Self(Arc::new(Parts {
            id_token_hints: IdTokenHints::new(Arc::clone(&ground.issuer.keys), rules),
            login_token_hints: login_tokens.context("reading the keys of an issuer of hints")?,
            requests: Requests::new(ground.store, Arc::clone(&ground.issuer.keys)),
            open: Open::default(),
            types: details::Types::new(config.details.as_ref())?,
            asks: NonZeroU32::new(config.limits.requests_per_minute).map(Throttle::per_minute),
            looks: NonZeroU32::new(config.limits.looks_per_minute).map(Throttle::per_minute),
            wrong_codes: wrong_codes(),
            user_codes: UserCodes::default(),
            nobodys_key: RandomState::new(),
            deliveries: ground.deliveries,
            notifier: ground.notifier,
            client_keys: ground.client_keys,
            used: ground.used,
            config,
            oauth,
            public_url: ground.public_url,
            authenticator: ground.authenticator,
            clients: ground.clients,
            users: ground.users,
            issuer: ground.issuer,
            browsers: ground.browsers,
            terminals: ground.terminals,
            shutdown: ground.shutdown,
            work: ground.work,
        })))
    }

    /// Takes in what was undecided when the server was last stopped (C-422).
    pub(crate) async fn resume(&self) -> Result<(), RequestsError> {
        for (name, request) in self.requests.all().await? {
            self.take_up(name, &request).await;
        }
        Ok(())
    }

    /// Forgets what has expired, and who has been quiet.
    pub(crate) async fn sweep(&self) {
        for name in self.open.expire(now().seconds()) {
            self.expired(&name).await;
        }
        self.authenticator.forget_quiet();
        self.wrong_codes.forget_quiet(Instant::now());
        self.asks.iter().for_each(Throttle::forget_quiet);
        self.looks.iter().for_each(Throttle::forget_quiet);
    }

    /// Returns the page on which a person decides (C-210).
    pub(super) fn approval_url(&self, auth_req_id: &str) -> Url {
        let mut url = self.public_url.clone();
        url.set_path(&self.config.approval_page);
        url.query_pairs_mut().append_pair("auth_req_id", auth_req_id);
        url
    }

    /// Whether the operator's own tests may decide (C-235).
    pub(super) fn has_test_hook(&self) -> bool {
        self.config.test_hook_secret.is_some()
    }

    pub(super) fn interval(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.config.interval)
    }
}

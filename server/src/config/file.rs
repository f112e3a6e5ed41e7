//! The configuration file as it is written: its sections, with their defaults, and what they mean together.

use std::net::SocketAddr;

use serde::Deserialize;

use super::secret::Places;
use super::{
    Config, Error, Limits, ciba, client, explain, keys, login, oauth, outgoing, resource, tls, url, user,
};

/// The file. An unknown key is an error: a misspelt option that is ignored is worse than none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default = "default_listen")]
    listen: SocketAddr,
    public_url: Option<String>,
    #[serde(default)]
    behind_tls_proxy: bool,
    #[serde(default)]
    tls: tls::Section,
    #[serde(default)]
    store: Store,
    login: login::Section,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    outgoing: outgoing::Section,
    #[serde(default)]
    resource: Vec<resource::Section>,
    #[serde(default)]
    keys: keys::Section,
    #[serde(default)]
    oauth: oauth::Section,
    #[serde(default)]
    ciba: ciba::Section,
    #[serde(default)]
    client: Vec<client::Section>,
    #[serde(default)]
    user: Vec<user::User>,
}

/// `[store]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
struct Store {
    url: String,
}

impl Default for Store {
    fn default() -> Self {
        Self { url: default_store() }
    }
}

/// Loopback: what is served to a network is configured.
pub(super) fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8787))
}

pub(super) fn default_store() -> String {
    "sqlite:ciba.db".into()
}

impl File {
    pub(super) fn read(text: &str, place: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error| {
            let at = explain::place(&error, text);
            let place = at.map_or(place.to_owned(), |at| format!("{place}: {at}"));
            Error::syntax(place, error)
        })
    }

    /// Reads the file's table after the environment has changed it.
    pub(super) fn of_table(table: toml::Table) -> Result<Self, Error> {
        let place = "the environment (CIBA_SERVER__…)".to_owned();
        table.try_into().map_err(|error| Error::syntax(place, error))
    }

    pub(super) fn understand(self, places: &Places<'_>) -> Result<Config, Error> {
        let tls = self.tls.understand(self.behind_tls_proxy, places)?;
        let public_url = self.public_url.as_deref();
        let public_url = public_url
            .map(|text| url::origin("public_url", text))
            .transpose()?;
        let public_url = match (public_url, &tls.pair) {
            (Some(url), Some(_)) => Some(tls::https("public_url", url)?),
            (url, _) => url,
        };
        if public_url.is_none() && !self.listen.ip().is_loopback() {
            let problem = "is needed, since `listen` is not a loopback address";
            return Err(Error::value("public_url", problem));
        }
        if !self.listen.ip().is_loopback() && !self.behind_tls_proxy && tls.pair.is_none() {
            let problem = "must be true, since `listen` is not a loopback address: without [tls] this server speaks plain HTTP, and a proxy in front has to end TLS";
            return Err(Error::value("behind_tls_proxy", problem));
        }
        let ciba = self.ciba.understand(places)?;
        let is_tested = ciba.as_ref().is_some_and(|ciba| ciba.test_hook_secret.is_some());
        let is_reached_from_here = self.listen.ip().is_loopback()
            && public_url.as_ref().is_none_or(url::is_loopback)
            && !self.behind_tls_proxy;
        // The hook decides for every person: only tests on this machine may reach it.
        if is_tested && !is_reached_from_here {
            let problem = "is for tests on this machine: `listen` and `public_url` must be loopback, and `behind_tls_proxy` off";
            return Err(Error::value("ciba.test_hook_secret", problem));
        }
        let hint_age = ciba.as_ref().map(|ciba| ciba.id_token_hint_age);
        Ok(Config {
            listen: self.listen,
            public_url,
            behind_tls_proxy: self.behind_tls_proxy,
            tls,
            keys: self.keys.understand(&self.store.url, hint_age, places),
            store: self.store.url,
            login: self.login.understand(places)?,
            limits: self.limits.checked()?,
            outgoing: self.outgoing.understand(places)?,
            resources: resource::understand(self.resource)?,
            oauth: self.oauth.understand(places)?,
            ciba,
            clients: client::understand(self.client, places)?,
            users: user::understand(self.user)?,
        })
    }
}

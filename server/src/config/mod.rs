//! What the operator decides: a TOML file, overlaid by `CIBA_SERVER__SECTION__KEY` variables, and checked as a whole.
//!
//! A section of the file is a file here. After [`Config::load`] every option has its own type and is within its limits.

mod ciba;
mod client;
mod error;
mod explain;
mod file;
mod keys;
mod limits;
mod login;
mod oauth;
mod outgoing;
mod overlay;
mod pattern;
mod resource;
mod secret;
mod template;
#[cfg(test)]
mod tests;
mod tls;
mod url;
mod user;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ::url::Url;

pub(crate) use self::ciba::{
    Ciba, DetailsType, HintIssuer, HintKind, IssuerKeys, Limits as CibaLimits, LoginToken, Mail,
    MailSecurity, Mode, Notify, Terminal, Webhook,
};
pub(crate) use self::client::{Client, Terms, is_id};
pub use self::error::Error;
use self::file::File;
pub(crate) use self::keys::Keys;
pub(crate) use self::limits::Limits;
pub(crate) use self::login::{Confirm, Login};
pub(crate) use self::oauth::{OAuth, Registration};
pub use self::overlay::PREFIX;
pub(crate) use self::resource::{ExchangeTemplates, Gives, ResourceRule};
#[cfg(test)]
pub(crate) use self::resource::{defaults as default_rules, rule};
use self::secret::{CREDENTIALS, Places};
pub(crate) use self::template::Template;
pub(crate) use self::tls::{Pair, Tls};
pub(crate) use self::url::is_loopback;
pub(crate) use self::user::User;
use crate::outgoing::Rules;

/// The checked configuration.
pub struct Config {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// How browsers and devices reach this server; `None`: as it listens, on loopback.
    pub(crate) public_url: Option<Url>,
    /// Whether a TLS proxy stands in front: its `X-Forwarded-For` is believed.
    pub(crate) behind_tls_proxy: bool,
    /// TLS by the server itself, and certificates of clients.
    pub(crate) tls: Tls,
    /// The store's URL.
    pub(crate) store: String,
    /// The identity provider.
    pub(crate) login: Login,
    /// What one address may ask.
    pub(crate) limits: Limits,
    /// How URLs that OAuth clients named are called.
    pub(crate) outgoing: Rules,
    /// Which resources devices get tokens for; the first that matches decides (D-041).
    pub(crate) resources: Vec<ResourceRule>,
    /// Where the keys of the server lie.
    pub(crate) keys: Keys,
    /// What the server is to OAuth clients.
    pub(crate) oauth: OAuth,
    /// How people are asked for their consent on behalf of clients; `None`: they are not.
    pub(crate) ciba: Option<Ciba>,
    /// The clients that the operator names.
    pub(crate) clients: Vec<Client>,
    /// The people that the operator names.
    pub(crate) users: Vec<User>,
}

impl Config {
    /// Reads a file and the environment.
    ///
    /// # Errors
    ///
    /// [`Error`]: the first thing that is wrong.
    pub fn load(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, &path.display().to_string(), base, environment)
    }

    /// Reads a file's text and the environment; what the file names lies below `base`.
    pub(crate) fn parse(
        text: &str,
        place: &str,
        base: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let environment: Vec<_> = environment.collect();
        let given = environment.iter().find(|(name, _)| name == CREDENTIALS);
        let credentials = given.map(|(_, directory)| PathBuf::from(directory));
        // First alone, for the line and column of what is wrong; then together with the environment.
        File::read(text, place)?;
        let file = File::of_table(overlay::merge(text, environment.into_iter())?)?;
        file.understand(&Places {
            base,
            credentials: credentials.as_deref(),
        })
    }

    /// Returns a configuration with the defaults of everything but the identity provider.
    #[cfg(test)]
    pub(crate) fn around(login: Login) -> Self {
        Self {
            listen: file::default_listen(),
            public_url: None,
            behind_tls_proxy: false,
            tls: Tls::default(),
            store: file::default_store(),
            login,
            limits: Limits::default(),
            outgoing: Rules::default(),
            resources: resource::defaults(),
            keys: Keys::default(),
            oauth: OAuth::default(),
            ciba: None,
            clients: Vec::new(),
            users: Vec::new(),
        }
    }

    /// Whether something here is for OAuth clients, who need the server's keys. The store may know clients as well.
    pub(crate) fn serves_clients(&self) -> bool {
        let registers = !matches!(self.oauth.registration, Registration::Off);
        self.ciba.is_some() || registers || !self.clients.is_empty() || self.tls.clients.is_some()
    }

    /// Returns the public URL, once it is known where the server listens.
    pub(crate) fn public_url(&self, listening: SocketAddr) -> Url {
        let scheme = if self.tls.pair.is_some() { "https" } else { "http" };
        let own = || Url::parse(&format!("{scheme}://{listening}")).expect("an address makes a URL");
        self.public_url.clone().unwrap_or_else(own)
    }
}

/// Returns the value of a key, if it is within its limits.
fn within((key, value): (&str, u64), limits: &RangeInclusive<u64>) -> Result<u64, Error> {
    if limits.contains(&value) {
        return Ok(value);
    }
    let problem = format!("must be {} to {}", limits.start(), limits.end());
    Err(Error::value(key, problem))
}

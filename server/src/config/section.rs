//! The configuration file's sections as they are written, with their defaults, and what they mean.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{CREDENTIALS, Config, Error, Limits, Login, Places, explain, resource};

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
    store: StoreSection,
    login: LoginSection,
    #[serde(default)]
    limits: LimitsSection,
    #[serde(default)]
    resource: Vec<resource::Section>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
struct StoreSection {
    url: String,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self {
            url: "sqlite:ciba.db".into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
struct LoginSection {
    issuer: String,
    client_id: String,
    client_secret: Option<Secret>,
    client_secret_file: Option<PathBuf>,
    #[serde(default = "default_scopes")]
    scopes: Vec<String>,
    resource: Option<String>,
    #[serde(default)]
    confirm: Confirm,
}

/// A secret in a configuration: an error about it must not quote it.
struct Secret(Zeroizing<String>);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text =
            String::deserialize(deserializer).map_err(|_| serde::de::Error::custom("must be a text"))?;
        Ok(Self(Zeroizing::new(text)))
    }
}

/// What the person is asked before the redirect to the identity provider (D-020).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confirm {
    /// To compare the code on the page with the one in the terminal (RFC 8628 §5.4).
    #[default]
    Code,
    /// Nothing.
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
struct LimitsSection {
    logins_per_minute: NonZeroU32,
    login_expires_in: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        Self {
            logins_per_minute: NonZeroU32::new(30).expect("30 is not zero"),
            login_expires_in: 600,
        }
    }
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8787))
}

fn default_scopes() -> Vec<String> {
    ["openid", "profile", "offline_access"].map(String::from).to_vec()
}

/// Seconds a login may take: long enough to find the phone, short enough to mean this terminal.
const LOGIN_EXPIRES_IN: std::ops::RangeInclusive<u64> = 5..=3600;

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
        let public_url = self.public_url.as_deref().map(checked_public_url).transpose()?;
        if public_url.is_none() && !self.listen.ip().is_loopback() {
            let problem = "is needed, since `listen` is not a loopback address".to_owned();
            return Err(Error::Value {
                key: "public_url",
                problem,
            });
        }
        if !LOGIN_EXPIRES_IN.contains(&self.limits.login_expires_in) {
            let problem = format!(
                "must be {} to {} seconds",
                LOGIN_EXPIRES_IN.start(),
                LOGIN_EXPIRES_IN.end()
            );
            return Err(Error::Value {
                key: "limits.login_expires_in",
                problem,
            });
        }
        Ok(Config {
            listen: self.listen,
            public_url,
            behind_tls_proxy: self.behind_tls_proxy,
            store: self.store.url,
            login: self.login.understand(places)?,
            limits: Limits {
                logins_per_minute: self.limits.logins_per_minute,
                login_expires_in: self.limits.login_expires_in,
            },
            resources: resource::understand(self.resource)?,
        })
    }
}

impl LoginSection {
    fn understand(self, places: &Places<'_>) -> Result<Login, Error> {
        secure_url("login.issuer", &self.issuer)?;
        let from_file = self
            .client_secret_file
            .map(|file| read_secret(&places.find(&file)?))
            .transpose()?;
        let mut scopes = self.scopes;
        if !scopes.iter().any(|scope| scope == "openid") {
            scopes.insert(0, "openid".into());
        }
        Ok(Login {
            issuer: self.issuer,
            client_id: self.client_id,
            client_secret: self.client_secret.map(|secret| secret.0).or(from_file),
            scopes,
            resource: self.resource,
            confirm: self.confirm,
        })
    }
}

impl Places<'_> {
    /// Returns the path of a file: below `${CREDENTIALS_DIRECTORY}`, or as seen from the configuration.
    fn find(&self, file: &Path) -> Result<PathBuf, Error> {
        let Ok(credential) = file.strip_prefix(format!("${{{CREDENTIALS}}}")) else {
            return Ok(self.base.join(file));
        };
        let problem = format!("{CREDENTIALS} is not set; a service manager does so for LoadCredential=");
        let directory = self
            .credentials
            .ok_or_else(|| value("login.client_secret_file", &problem))?;
        Ok(directory.join(credential))
    }
}

fn read_secret(path: &Path) -> Result<Zeroizing<String>, Error> {
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| Error::Value {
            key: "login.client_secret_file",
            problem: format!("cannot read {}: {error}", path.display()),
        })?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn checked_public_url(text: &str) -> Result<Url, Error> {
    let url = secure_url("public_url", text)?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.path() == "/";
    if plain {
        Ok(url)
    } else {
        Err(value("public_url", "must have no path, query or fragment"))
    }
}

fn secure_url(key: &'static str, text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|error| value(key, &format!("is not a URL ({error})")))?;
    let http = url.scheme() == "http" && is_loopback(&url);
    if url.scheme() == "https" || http {
        Ok(url)
    } else {
        Err(value(key, "must begin with https:// (http:// only on loopback)"))
    }
}

fn value(key: &'static str, problem: &str) -> Error {
    Error::Value {
        key,
        problem: problem.to_owned(),
    }
}

/// Whether a URL stays on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

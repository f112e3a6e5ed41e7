//! `[tls]`: TLS by the server itself, and where certificates of clients come from (RFC 8705).

use std::net::SocketAddr;
use std::path::PathBuf;

use ::url::Url;
use serde::Deserialize;

use super::secret::Places;
use super::{Error, url};

/// What the server does about TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    /// Its own certificate; `None`: it speaks plain HTTP.
    pub(crate) pair: Option<Pair>,
    /// Where it reads certificates of clients; `None`: nowhere.
    pub(crate) clients: Option<Clients>,
    /// PEM file of the authorities that certificates of `tls_client_auth` come from; `None`: that method is off.
    pub(crate) client_ca: Option<PathBuf>,
}

impl Tls {
    /// Whether certificates of clients are what the proxy says.
    pub(crate) fn is_said_by_proxy(&self) -> bool {
        self.clients
            .as_ref()
            .is_some_and(|clients| clients.listen.is_none())
    }
}

/// The PEM files of a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// The chain, the server's own certificate first.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Where certificates of clients are read.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    /// A second listener that asks for them; `None`: the proxy in front says them (RFC 9440).
    pub(crate) listen: Option<SocketAddr>,
    /// How clients reach it (RFC 8705 §5); `None`: as it listens, or as everything else.
    pub(crate) public_url: Option<Url>,
}

impl Clients {
    /// Notes where the listener is: without a public URL it is reached there.
    pub(crate) fn listens_on(&mut self, address: SocketAddr) {
        let own = || Url::parse(&format!("https://{address}")).expect("an address makes a URL");
        self.public_url.get_or_insert_with(own);
    }
}

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
pub(super) struct Section {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
    client_cert_header: bool,
    client: Option<ClientSection>,
}

/// `[tls.client]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
struct ClientSection {
    listen: Option<SocketAddr>,
    public_url: Option<String>,
}

impl Section {
    /// Reads the section of a server that stands behind a TLS proxy, or not.
    pub(super) fn understand(self, behind_tls_proxy: bool, places: &Places<'_>) -> Result<Tls, Error> {
        let find = |key: &str, file: Option<PathBuf>| {
            let found = file.map(|file| places.find(&file)).transpose();
            found.map_err(|problem| Error::value(key, problem))
        };
        let pair = match (
            find("tls.certificate", self.certificate)?,
            find("tls.key", self.key)?,
        ) {
            (Some(certificate), Some(key)) => Some(Pair { certificate, key }),
            (None, None) => None,
            (Some(_), None) => return Err(Error::value("tls.key", "is needed with tls.certificate")),
            (None, Some(_)) => return Err(Error::value("tls.certificate", "is needed with tls.key")),
        };
        let clients = match self.client_cert_header {
            true if !behind_tls_proxy => {
                let problem = "is for a server behind a TLS proxy: set behind_tls_proxy, too";
                return Err(Error::value("tls.client_cert_header", problem));
            }
            true => Some(said_by_proxy(self.client)?),
            false => self
                .client
                .map(|section| section.listener(pair.is_some()))
                .transpose()?,
        };
        let client_ca = find("tls.client_ca", self.client_ca)?;
        if client_ca.is_some() && clients.is_none() {
            let problem = "is of no use without [tls.client] or tls.client_cert_header";
            return Err(Error::value("tls.client_ca", problem));
        }
        Ok(Tls {
            pair,
            clients,
            client_ca,
        })
    }
}

/// The proxy listens for clients with certificates; under another name than for browsers, if it has one.
fn said_by_proxy(section: Option<ClientSection>) -> Result<Clients, Error> {
    let section = section.unwrap_or(ClientSection {
        listen: None,
        public_url: None,
    });
    if section.listen.is_some() {
        let problem = "excludes tls.client_cert_header: the certificates come from one place";
        return Err(Error::value("tls.client.listen", problem));
    }
    Ok(Clients {
        listen: None,
        public_url: section.public_url()?,
    })
}

impl ClientSection {
    /// Reads our own second listener.
    fn listener(self, has_pair: bool) -> Result<Clients, Error> {
        if !has_pair {
            let problem = "is needed for [tls.client]; behind a TLS proxy, tls.client_cert_header";
            return Err(Error::value("tls.certificate", problem));
        }
        let listen = self
            .listen
            .ok_or_else(|| Error::value("tls.client.listen", "is needed"))?;
        let public_url = self.public_url()?;
        if public_url.is_none() && !listen.ip().is_loopback() {
            let problem = "is needed, since `listen` is not a loopback address";
            return Err(Error::value("tls.client.public_url", problem));
        }
        Ok(Clients {
            listen: Some(listen),
            public_url,
        })
    }

    fn public_url(&self) -> Result<Option<Url>, Error> {
        let key = "tls.client.public_url";
        let read = |text: &String| url::origin(key, text).and_then(|url| https(key, url));
        self.public_url.as_ref().map(read).transpose()
    }
}

/// Returns the URL, if it is for TLS.
pub(super) fn https(key: &str, url: Url) -> Result<Url, Error> {
    match url.scheme() {
        "https" => Ok(url),
        _ => Err(Error::value(
            key,
            "must begin with https://, since the listener speaks TLS",
        )),
    }
}

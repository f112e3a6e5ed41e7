//! URLs of a configuration: https, or http on this machine alone.

use url::{Host, Url};

use super::Error;

/// Reads the `public_url` at a key: an origin without a path.
pub(super) fn origin(key: &str, text: &str) -> Result<Url, Error> {
    let url = secure(key, text)?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    if url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !has_user {
        return Ok(url);
    }
    let problem = "must have no user, path, query or fragment";
    Err(Error::value(key, problem))
}

/// Reads the URL at a key.
pub(super) fn secure(key: &str, text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|error| Error::value(key, format!("is not a URL ({error})")))?;
    if url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url) {
        return Ok(url);
    }
    let problem = "must begin with https:// (http:// only on loopback)";
    Err(Error::value(key, problem))
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

//! URLs of a configuration: https, or http on this machine alone.

use url::{Host, Url};

use super::Error;

/// Reads `public_url`: an origin without a path.
pub(super) fn public(text: &str) -> Result<Url, Error> {
    let url = secure("public_url", text)?;
    if url.path() == "/" && url.query().is_none() && url.fragment().is_none() {
        return Ok(url);
    }
    Err(Error::value("public_url", "must have no path, query or fragment"))
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
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

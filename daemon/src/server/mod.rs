//! Which server a login belongs to: the URL a person typed, checked once, and the addresses below it.

pub(crate) mod client;

use std::fmt;

use thiserror::Error;
use url::Url;

use crate::loopback::is_loopback;

/// Characters of a server's URL.
const MAX_URL: usize = 2048;

/// The public URL of a `ciba-server`, without a trailing slash. Two that mean the same are equal.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Server(Url);

/// A URL no server of ours can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum BadUrl {
    #[error("not a URL; give the server's as https://host")]
    Unreadable,
    #[error(
        "a server's URL begins with https://; http:// is for one on this machine alone (127.0.0.1, localhost)"
    )]
    Insecure,
    #[error("a server's URL has no user name, query or fragment")]
    TooMuch,
}

impl Server {
    /// Reads what a person typed.
    pub(crate) fn parse(text: &str) -> Result<Self, BadUrl> {
        if text.len() > MAX_URL {
            return Err(BadUrl::Unreadable);
        }
        let mut url = Url::parse(text).map_err(|_| BadUrl::Unreadable)?;
        if !is_private(&url) {
            return Err(BadUrl::Insecure);
        }
        let plain = url.username().is_empty() && url.password().is_none();
        if !plain || url.query().is_some() || url.fragment().is_some() {
            return Err(BadUrl::TooMuch);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// Returns where a login begins (D-002).
    pub(crate) fn authorize(&self) -> Url {
        self.below("auth/par/authorize")
    }

    /// Returns where the device's WebSocket is (D-010).
    pub(crate) fn socket(&self) -> Url {
        let mut url = self.below("sync/device");
        let scheme = if self.is_encrypted() { "wss" } else { "ws" };
        url.set_scheme(scheme).expect("http and ws are of the same kind");
        url
    }

    /// Returns where the server says whether it is well.
    pub(crate) fn health(&self) -> Url {
        self.below("healthz")
    }

    /// Returns scheme, host and port, for people.
    pub(crate) fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Whether TLS is spoken; otherwise the server is on this machine.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    fn below(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        url
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// Whether no one on the network can read or change what is said: `https`, or `http` that stays on this machine.
pub(crate) fn is_private(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.host().is_some(),
        "http" => url.host().is_some_and(|host| is_loopback(&host)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_this_machine() {
        for good in ["https://c.example", "http://127.0.0.1:8787", "http://[::1]:1/x"] {
            assert!(Server::parse(good).is_ok(), "{good}");
        }
        for bad in ["ftp://c.example", "file:///x"] {
            assert_eq!(Server::parse(bad).err(), Some(BadUrl::Insecure), "{bad}");
        }
        for bad in ["", "c.example", &format!("https://c/{}", "x".repeat(MAX_URL))] {
            assert_eq!(Server::parse(bad).err(), Some(BadUrl::Unreadable), "{bad}");
        }
        for bad in ["https://me@c", "https://c/?a", "https://c/#a", "https://:pw@c"] {
            assert_eq!(Server::parse(bad).err(), Some(BadUrl::TooMuch), "{bad}");
        }
    }

    /// The rule is the client's and the server's too.
    #[test]
    fn only_this_machine_is_reached_without_tls() {
        for (host, is_here) in [
            ("localhost", true),
            ("LOCALHOST", true),
            ("127.0.0.1", true),
            ("127.255.255.254", true),
            ("[::1]", true),
            ("x.localhost", false),
            ("localhost.", false),
            ("localhost.example", false),
            ("127.0.0.1.example", false),
            ("128.0.0.1", false),
            ("0.0.0.0", false),
            ("[::]", false),
            ("[::2]", false),
            ("[::ffff:127.0.0.1]", false),
            ("c.example", false),
        ] {
            let server = Server::parse(&format!("http://{host}"));
            let expected = if is_here { None } else { Some(BadUrl::Insecure) };
            assert_eq!(server.err(), expected, "{host}");
        }
    }

    #[test]
    fn addresses_lie_below_the_public_path() {
        let server = Server::parse("https://C.example:443/base/").unwrap();
        assert_eq!(server.to_string(), "https://c.example/base");
        assert_eq!(
            server.authorize().as_str(),
            "https://c.example/base/auth/par/authorize"
        );
        assert_eq!(server.socket().as_str(), "wss://c.example/base/sync/device");
        assert!(server == Server::parse("https://c.example/base").unwrap());
        let here = Server::parse("http://127.0.0.1:8787").unwrap();
        assert_eq!(here.socket().as_str(), "ws://127.0.0.1:8787/sync/device");
        assert_eq!(here.to_string(), "http://127.0.0.1:8787");
    }
}

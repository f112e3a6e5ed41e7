//! The service that a tool wants a token for: its URL, taken apart once. What two programs could read in two ways is
//! refused.

use ipc_proto::MAX_URL;
use thiserror::Error;
use url::{Host, Url};

use crate::loopback::is_loopback;

/// A service's address, normalised (WHATWG URL, RFC 3986 §6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(super) is_tls: bool,
    pub(super) host: Host,
    pub(super) port: u16,
    /// The path's segments, percent-encoded as the tool gave them, dot segments resolved.
    pub(super) path: Vec<String>,
}

/// Why a URL names no service. The texts quote nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum ServiceError {
    #[error("it has more than {} KiB", MAX_URL / 1024)]
    TooLong,
    #[error("it does not begin with https:// or http://")]
    Scheme,
    #[error("it has a character that does not belong into a URL")]
    Character,
    #[error("it has a user name or a password; a URL with one gets no token")]
    Userinfo,
    #[error("its host or port is not valid")]
    Host,
    #[error("a token goes over https alone; http is for this machine (localhost, 127.0.0.0/8, [::1])")]
    Plain,
}

impl Service {
    /// Reads a URL. Its query and its fragment count for nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, ServiceError> {
        if text.len() > MAX_URL {
            return Err(ServiceError::TooLong);
        }
        let (is_tls, rest) = scheme(text)?;
        check_characters(rest)?;
        check_authority(authority(rest))?;
        let url = Url::parse(text).map_err(|_| ServiceError::Host)?;
        let host = normal_host(&url).ok_or(ServiceError::Host)?;
        if !is_tls && !is_loopback(&host) {
            return Err(ServiceError::Plain);
        }
        Ok(Self {
            is_tls,
            host,
            port: url.port_or_known_default().ok_or(ServiceError::Host)?,
            path: url
                .path_segments()
                .into_iter()
                .flatten()
                .map(Into::into)
                .collect(),
        })
    }

    /// Returns the host, and the port where it is not the scheme's: what a rule would be written for.
    pub(crate) fn name(&self) -> String {
        if self.port == default_port(self.is_tls) {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

pub(super) fn default_port(is_tls: bool) -> u16 {
    if is_tls { 443 } else { 80 }
}

/// Splits the scheme off. Parsers disagree about `https:host` and `https:///host`, so both are refused.
pub(super) fn scheme(text: &str) -> Result<(bool, &str), ServiceError> {
    let (scheme, rest) = text.split_once("://").ok_or(ServiceError::Scheme)?;
    let is_tls = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return Err(ServiceError::Scheme),
    };
    if rest.is_empty() || rest.starts_with('/') {
        return Err(ServiceError::Host);
    }
    Ok((is_tls, rest))
}

/// A backslash is a slash to browsers and a letter to others; tabs and line ends vanish in some parsers.
fn check_characters(rest: &str) -> Result<(), ServiceError> {
    let is_odd = |c: char| c == '\\' || c.is_whitespace() || !ipc_proto::is_plain(c);
    if rest.contains(is_odd) {
        Err(ServiceError::Character)
    } else {
        Ok(())
    }
}

fn authority(rest: &str) -> &str {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    &rest[..end]
}

/// A percent-encoded host is another host to a tool that does not decode it.
fn check_authority(authority: &str) -> Result<(), ServiceError> {
    if authority.contains('@') {
        Err(ServiceError::Userinfo)
    } else if authority.contains('%') || authority.ends_with(':') {
        Err(ServiceError::Host)
    } else {
        Ok(())
    }
}

/// Returns the host in lower case and punycode (UTS #46), without the one dot that may end it.
pub(super) fn normal_host(url: &Url) -> Option<Host> {
    let host = url.host()?.to_owned();
    let Host::Domain(name) = host else {
        return Some(host);
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    let is_whole = name.split('.').all(|label| !label.is_empty());
    is_whole.then(|| Host::Domain(name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(url: &str) -> Result<String, ServiceError> {
        Service::parse(url).map(|service| service.name())
    }

    #[test]
    fn a_host_has_one_spelling() {
        for (url, expected) in [
            ("https://git.example.com", "git.example.com"),
            ("HTTPS://GIT.Example.COM/", "git.example.com"),
            ("https://git.example.com.", "git.example.com"),
            ("https://git.example.com:443/x", "git.example.com"),
            ("https://git.example.com:8443/x", "git.example.com:8443"),
            ("https://git.example.com:80", "git.example.com:80"),
            ("https://bücher.example", "xn--bcher-kva.example"),
            ("https://BÜCHER.example", "xn--bcher-kva.example"),
            ("https://xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("https://[2001:DB8::0:1]:8443", "[2001:db8::1]:8443"),
            ("http://localhost:5000", "localhost:5000"),
            ("http://LOCALHOST.", "localhost"),
            ("http://127.1.2.3", "127.1.2.3"),
            ("http://0x7f.1", "127.0.0.1"),
            ("http://[::1]:80/", "[::1]"),
        ] {
            assert_eq!(name(url).as_deref(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (url, expected) in [
            ("", ServiceError::Scheme),
            ("git.example.com", ServiceError::Scheme),
            ("https:git.example.com", ServiceError::Scheme),
            ("ssh://git.example.com", ServiceError::Scheme),
            ("ftp://localhost", ServiceError::Scheme),
            (" https://git.example.com", ServiceError::Scheme),
            ("https://", ServiceError::Host),
            ("https:///git.example.com", ServiceError::Host),
            ("https://:443", ServiceError::Host),
            ("https://git.example.com:", ServiceError::Host),
            ("https://git.example.com:65536", ServiceError::Host),
            ("https://git.example.com:1:2", ServiceError::Host),
            ("https://git%2eexample.com", ServiceError::Host),
            ("https://git.example.com..", ServiceError::Host),
            ("https://git..example.com", ServiceError::Host),
            ("https://.", ServiceError::Host),
            ("https://1.2.3.256", ServiceError::Host),
            ("https://[::1", ServiceError::Host),
            ("https://[fe80::1%25eth0]", ServiceError::Host),
            ("https://ada@git.example.com", ServiceError::Userinfo),
            ("https://@git.example.com", ServiceError::Userinfo),
            ("https://git.example.com:x@evil.example", ServiceError::Userinfo),
            ("https://git.example.com\\@evil.example", ServiceError::Character),
            ("https://evil.example\\.git.example.com", ServiceError::Character),
            ("https://git.example.com\t", ServiceError::Character),
            ("https://git.exa\nmple.com", ServiceError::Character),
            ("https://git.example.com/a b", ServiceError::Character),
            ("https://git.example\0.com", ServiceError::Character),
            ("https://git.exam\u{200b}ple.com", ServiceError::Character),
            ("http://git.example.com", ServiceError::Plain),
            ("http://128.0.0.1", ServiceError::Plain),
            ("http://[::ffff:127.0.0.1]", ServiceError::Plain),
            ("http://localhost.example.com", ServiceError::Plain),
            ("http://127.0.0.1.example.com", ServiceError::Plain),
        ] {
            assert_eq!(name(url), Err(expected), "{url}");
        }
    }

    #[test]
    fn a_url_has_a_length() {
        let base = "https://git.example.com/";
        let url = |length| format!("{base}{}", "x".repeat(length - base.len()));
        assert!(name(&url(MAX_URL)).is_ok());
        assert_eq!(name(&url(MAX_URL + 1)), Err(ServiceError::TooLong));
    }
}

//! The services that a rule is for: what stands behind `match` in a `[[host]]` section.

use std::fmt;

use serde::Deserialize;
use thiserror::Error;
use url::Host;

use super::service::{Service, ServiceError};
use crate::loopback::is_loopback;

/// `host`, or `*.` and a domain; `:port` and `/path` where they are named, `https://` or `http://` before it. Without a
/// scheme it is for https, and on this machine for http as well.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pattern {
    /// As the person wrote it.
    text: String,
    /// Whether it names its scheme.
    has_scheme: bool,
    /// Whether it is for whole labels before its host, and not for the host itself.
    is_wild: bool,
    service: Service,
}

/// Why a text is no pattern. The texts quote nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum PatternError {
    #[error("no host to match: {0}")]
    Service(#[from] ServiceError),
    #[error("a * stands for whole labels at the beginning: *.example.com")]
    Wildcard,
    #[error("a * needs a domain of at least two labels behind it: *.example.com")]
    TooWide,
    #[error("a path to match has no ?, #, % and no . or .. segment")]
    Path,
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text.as_str()),
        };
        let (is_wild, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.contains('*') {
            return Err(PatternError::Wildcard);
        }
        check_path(rest)?;
        let mut service = Service::parse(&format!("{}://{rest}", scheme.unwrap_or("https")))?;
        if is_wild {
            check_suffix(&service.host)?;
        }
        // "/team/" and "/team" are for the same.
        if service.path.last().is_some_and(String::is_empty) {
            service.path.pop();
        }
        Ok(Self {
            has_scheme: scheme.is_some(),
            is_wild,
            service,
            text,
        })
    }
}

fn check_path(rest: &str) -> Result<(), PatternError> {
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    let is_dots = |segment: &str| matches!(segment, "." | "..");
    if rest.contains(['?', '#', '%']) || path.split('/').any(is_dots) {
        Err(PatternError::Path)
    } else {
        Ok(())
    }
}

fn check_suffix(host: &Host) -> Result<(), PatternError> {
    match host {
        Host::Domain(name) if name.contains('.') => Ok(()),
        Host::Domain(_) => Err(PatternError::TooWide),
        Host::Ipv4(_) | Host::Ipv6(_) => Err(PatternError::Wildcard),
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// Whether a rule with it is for this service.
    pub(crate) fn matches(&self, service: &Service) -> bool {
        self.has_origin(service) && self.has_path(service)
    }

    fn has_origin(&self, service: &Service) -> bool {
        let own = &self.service;
        let is_same_scheme = own.is_tls == service.is_tls && own.port == service.port;
        let is_host = if self.is_wild {
            is_below(&service.host, &own.host)
        } else {
            service.host == own.host
        };
        is_host && (is_same_scheme || self.is_plain_twin(service))
    }

    /// Without a scheme, a rule for this machine is for http as well, at the same port or at http's own.
    fn is_plain_twin(&self, service: &Service) -> bool {
        let own = &self.service;
        let plain_port = if own.port == 443 { 80 } else { own.port };
        !self.has_scheme && is_loopback(&own.host) && !service.is_tls && service.port == plain_port
    }

    /// Whole segments. A path that a server could read as another one, when it decodes it once more, is under none.
    fn has_path(&self, service: &Service) -> bool {
        let own = &self.service.path;
        own.is_empty() || (service.path.starts_with(own) && !service.path.iter().any(|s| is_ambiguous(s)))
    }
}

/// Whether the host is the domain's, with at least one label before it.
fn is_below(host: &Host, domain: &Host) -> bool {
    match (host, domain) {
        (Host::Domain(host), Host::Domain(domain)) => host
            .strip_suffix(domain.as_str())
            .is_some_and(|labels| labels.ends_with('.')),
        _ => false,
    }
}

/// Whether a segment holds an encoded slash, backslash, percent sign or NUL, or is `..` with a parameter (`..;x`), which
/// some servers resolve.
fn is_ambiguous(segment: &str) -> bool {
    let segment = segment.to_ascii_lowercase();
    let encoded = ["%2f", "%5c", "%25", "%00"];
    let plain = segment.replace("%2e", ".").replace("%3b", ";");
    encoded.iter().any(|odd| segment.contains(odd)) || plain.starts_with("..;") || plain.starts_with(".;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Result<Pattern, PatternError> {
        Pattern::try_from(text.to_owned())
    }

    fn matches(text: &str, url: &str) -> bool {
        let service = Service::parse(url);
        service.is_ok_and(|service| pattern(text).unwrap().matches(&service))
    }

    #[test]
    fn a_host_matches_itself_however_it_is_spelt() {
        for (text, url) in [
            ("git.example.com", "https://git.example.com"),
            ("git.example.com", "https://GIT.EXAMPLE.COM./a?b#c"),
            ("Git.Example.com.", "https://git.example.com:443"),
            ("https://git.example.com", "https://git.example.com/a"),
            ("git.example.com:443", "https://git.example.com"),
            ("git.example.com:8443", "https://git.example.com:8443/a"),
            ("bücher.example", "https://xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "https://Bücher.example"),
            ("*.example.com", "https://git.example.com"),
            ("*.example.com", "https://a.b.example.com"),
            ("*.example.com:8443", "https://a.example.com:8443"),
            ("[2001:db8::1]", "https://[2001:DB8:0::1]"),
            ("192.0.2.1", "https://192.0.2.1/"),
            ("localhost:5000", "http://localhost:5000"),
            ("localhost:5000", "https://localhost:5000"),
            ("localhost", "http://localhost"),
            ("localhost", "https://localhost"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/x"),
            ("[::1]:5000", "http://[::1]:5000"),
        ] {
            assert!(matches(text, url), "{text} {url}");
        }
    }

    #[test]
    fn another_host_port_or_scheme_gets_nothing() {
        for (text, url) in [
            // Look-alikes.
            ("git.example.com", "https://git.example.com.evil.example"),
            ("git.example.com", "https://git-example.com"),
            ("git.example.com", "https://xgit.example.com"),
            ("git.example.com", "https://gitxexample.com"),
            ("git.example.com", "https://git.example.co"),
            ("git.example.com", "https://git.еxample.com"), // Cyrillic е
            ("git.example.com", "https://gıt.example.com"), // Turkish dotless ı
            ("git.example.com", "https://xn--git-example.com"),
            // Subdomains.
            ("git.example.com", "https://a.git.example.com"),
            ("git.example.com", "https://example.com"),
            ("*.example.com", "https://example.com"),
            ("*.example.com", "https://evilexample.com"),
            ("*.example.com", "https://a.example.com.evil.example"),
            ("*.example.com", "https://a.example.com:8443"),
            // Userinfo.
            ("git.example.com", "https://git.example.com@evil.example"),
            ("git.example.com", "https://ada:x@git.example.com"),
            ("evil.example", "https://git.example.com\\@evil.example"),
            // Ports.
            ("git.example.com", "https://git.example.com:8443"),
            ("git.example.com", "https://git.example.com:80"),
            ("git.example.com:8443", "https://git.example.com"),
            ("localhost", "http://localhost:8080"),
            ("localhost", "https://localhost:80"),
            ("localhost:5000", "http://localhost:5001"),
            // Schemes.
            ("git.example.com", "http://git.example.com"),
            ("https://localhost", "http://localhost"),
            ("http://localhost", "https://localhost"),
            ("http://localhost:5000", "https://localhost:5000"),
            // Addresses.
            ("127.0.0.1", "https://127.0.0.2"),
            ("localhost", "https://127.0.0.1"),
            ("192.0.2.1", "https://192.0.2.1.example.com"),
            ("[::1]", "https://[::2]"),
        ] {
            assert!(!matches(text, url), "{text} {url}");
        }
    }

    #[test]
    fn a_path_is_matched_on_whole_segments_and_cannot_be_left() {
        for (url, expected) in [
            ("https://e.example/a", true),
            ("https://e.example/a/", true),
            ("https://e.example/a/b?c", true),
            ("https://e.example/b/../a/x", true),
            ("https://e.example", false),
            ("https://e.example/", false),
            ("https://e.example/ab", false),
            ("https://e.example/A", false),
            ("https://e.example//a", false),
            ("https://e.example/b/a", false),
            ("https://e.example/%61", false),
            ("https://e.example/a/../b", false),
            ("https://e.example/a/%2e%2e/b", false),
            ("https://e.example/a/.%2E/b", false),
            ("https://e.example/a/..%2fb", false),
            ("https://e.example/a%2f..%2fb", false),
            ("https://e.example/a/%2e%2e%2fb", false),
            ("https://e.example/a/..%5cb", false),
            ("https://e.example/a/%252e%252e/b", false),
            ("https://e.example/a/..;/b", false),
            ("https://e.example/a/%2e%2e;x/b", false),
            ("https://e.example/a/..%3bx/b", false),
            ("https://e.example/a/x%00", false),
        ] {
            for text in ["e.example/a", "e.example/a/"] {
                assert_eq!(matches(text, url), expected, "{text} {url}");
            }
        }
        assert!(matches("e.example/a/b", "https://e.example/a/b/c"));
        assert!(!matches("e.example/a/b", "https://e.example/a"));
        assert!(
            matches("e.example", "https://e.example/a%2fb"),
            "no path, no doubt"
        );
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, expected) in [
            ("", PatternError::Service(ServiceError::Host)),
            ("*", PatternError::Wildcard),
            ("*example.com", PatternError::Wildcard),
            ("git.*.com", PatternError::Wildcard),
            ("*.*.example.com", PatternError::Wildcard),
            ("*.192.0.2.1", PatternError::Wildcard),
            ("*.com", PatternError::TooWide),
            ("*.localhost", PatternError::TooWide),
            (
                "http://git.example.com",
                PatternError::Service(ServiceError::Plain),
            ),
            (
                "ssh://git.example.com",
                PatternError::Service(ServiceError::Scheme),
            ),
            (
                "ada@git.example.com",
                PatternError::Service(ServiceError::Userinfo),
            ),
            ("git.example.com:x", PatternError::Service(ServiceError::Host)),
            ("git example.com", PatternError::Service(ServiceError::Character)),
            ("git.example.com/a/../b", PatternError::Path),
            ("git.example.com/%61", PatternError::Path),
            ("git.example.com/a?b", PatternError::Path),
            ("git.example.com#a", PatternError::Path),
        ] {
            assert_eq!(pattern(text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_matches_has_the_rules_host_and_port(
            rule in "[a-c]{1,2}(\\.[a-c]{1,2}){1,2}",
            wild: bool,
            url in "(https?|HTTPS)://([a-cA-C]{1,2}[.@:/%\\\\-]?){0,4}\\.?(:[0-9]{1,4})?(/[a-c.%2ef/]{0,8})?",
        ) {
            let text = if wild { format!("*.{rule}") } else { rule.clone() };
            if matches(&text, &url) {
                // By another parser than ours: what stands between the scheme and the first of "/", "?", "#" and ":".
                let rest = url.split_once("://").unwrap().1;
                let host = rest.split(['/', '?', '#', ':']).next().unwrap().to_lowercase();
                let host = host.trim_end_matches('.');
                let is_rules = if wild { host.ends_with(&format!(".{rule}")) } else { host == rule };
                prop_assert!(is_rules, "{text} {url}");
                prop_assert!(!url.contains('@') && url.to_lowercase().starts_with("https://"));
            }
        }

        #[test]
        fn no_text_makes_a_pattern_or_a_service_panic(text in "\\PC{0,60}", url in "https?://\\PC{0,60}") {
            if let (Ok(pattern), Ok(service)) = (pattern(&text), Service::parse(&url)) {
                pattern.matches(&service);
            }
        }
    }
}

//! An OpenID provider's own name, as a person types it and as the provider's documents and tokens repeat it.

use std::fmt;

use thiserror::Error;
use url::Url;

use crate::server::is_private;

/// Characters of an issuer.
const MAX_ISSUER: usize = 2048;

/// The issuer identifier of an OpenID provider. Two are the same only if every character is (RFC 8414 §3.3).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Issuer {
    text: String,
    url: Url,
}

/// A text that names no provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum BadIssuer {
    #[error("the issuer is not a URL; give it as https://host")]
    Unreadable,
    #[error(
        "an issuer begins with https://; http:// is for a provider on this machine alone (127.0.0.1, localhost)"
    )]
    Insecure,
    #[error("an issuer has no user name, query or fragment")]
    TooMuch,
}

impl Issuer {
    /// Reads what a person typed.
    pub(crate) fn parse(text: &str) -> Result<Self, BadIssuer> {
        let is_plain = text.len() <= MAX_ISSUER && text.bytes().all(|byte| byte.is_ascii_graphic());
        let url = Url::parse(text).ok().filter(|_| is_plain);
        let url = url.ok_or(BadIssuer::Unreadable)?;
        if !is_private(&url) {
            return Err(BadIssuer::Insecure);
        }
        let has_user = !url.username().is_empty() || url.password().is_some();
        if has_user || url.query().is_some() || url.fragment().is_some() {
            return Err(BadIssuer::TooMuch);
        }
        Ok(Self {
            text: text.into(),
            url,
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns its host, and its port where that is not the scheme's.
    pub(crate) fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.into(),
        }
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_kept_as_it_was_typed() {
        for (text, host) in [
            ("https://op.example", "op.example"),
            ("https://op.example/", "op.example"),
            ("https://op.example:8443/realms/x", "op.example:8443"),
            ("http://127.0.0.1:8787", "127.0.0.1:8787"),
            ("http://[::1]:1", "[::1]:1"),
        ] {
            let issuer = Issuer::parse(text).unwrap();
            assert_eq!(
                (issuer.to_string().as_str(), issuer.host().as_str()),
                (text, host)
            );
        }
    }

    #[test]
    fn only_https_or_this_machine_and_nothing_more_than_an_address() {
        for (text, problem) in [
            ("", BadIssuer::Unreadable),
            ("op.example", BadIssuer::Unreadable),
            ("https://op.example/ a", BadIssuer::Unreadable),
            ("http://op.example", BadIssuer::Insecure),
            ("ftp://op.example", BadIssuer::Insecure),
            ("https://me@op.example", BadIssuer::TooMuch),
            ("https://op.example/?a", BadIssuer::TooMuch),
            ("https://op.example/#a", BadIssuer::TooMuch),
        ] {
            assert_eq!(Issuer::parse(text).err(), Some(problem), "{text}");
        }
        let long = format!("https://op.example/{}", "x".repeat(MAX_ISSUER));
        assert_eq!(Issuer::parse(&long).err(), Some(BadIssuer::Unreadable));
    }
}

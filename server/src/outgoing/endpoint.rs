//! Which URL an OAuth client may give us to call: its notification endpoint (C-044) and, by the same rule, its
//! `jwks_uri` (C-049). Where the URL leads is checked at the call.

use thiserror::Error;
use url::Url;

/// Characters of a URL (C-044).
const MAX_URL: usize = 2048;

/// Why a client may not give this URL. The texts are fit for an `error_description`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum EndpointError {
    /// Longer than [`MAX_URL`].
    #[error("the URL has more than 2048 characters")]
    TooLong,
    /// No absolute URL.
    #[error("it is not an absolute URL")]
    NotAbsolute,
    /// Neither https, nor http where loopback is allowed.
    #[error("the URL is not https")]
    NotHttps,
    /// The URL has a fragment.
    #[error("the URL has a fragment")]
    Fragment,
    /// The URL has a user name or password.
    #[error("the URL has user information")]
    UserInfo,
}

/// Reads the URL of an endpoint that a client hosts.
pub(crate) fn notification_endpoint(text: &str, is_loopback_allowed: bool) -> Result<Url, EndpointError> {
    if text.chars().count() > MAX_URL {
        return Err(EndpointError::TooLong);
    }
    let url = Url::parse(text).map_err(|_| EndpointError::NotAbsolute)?;
    if !is_secure(&url, is_loopback_allowed) {
        return Err(EndpointError::NotHttps);
    }
    if url.fragment().is_some() {
        return Err(EndpointError::Fragment);
    }
    // The parser forgets empty user information, as in `https://@host`.
    let authority = text.split(['/', '\\', '?', '#']).nth(2).unwrap_or_default();
    if authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
        return Err(EndpointError::UserInfo);
    }
    Ok(url)
}

/// Whether a URL is https, or http to this machine where that is allowed (C-404).
pub(super) fn is_secure(url: &Url, is_loopback_allowed: bool) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => is_loopback_allowed && url.host_str().is_some_and(is_loopback_name),
        _ => false,
    }
}

/// Whether a host is one of the three names of this machine that C-404 exempts.
pub(super) fn is_loopback_name(host: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_044_an_endpoint_is_an_absolute_https_url_without_fragment_and_user() {
        use EndpointError::{Fragment, NotAbsolute, NotHttps, UserInfo};
        let table = [
            ("https://client.example/ping", Ok(())),
            ("https://client.example:8443/a/b?c=d@e", Ok(())),
            ("https://client.example/@me", Ok(())),
            ("https://192.0.2.1/", Ok(())),
            ("HTTPS://CLIENT.EXAMPLE/", Ok(())),
            ("", Err(NotAbsolute)),
            ("/ping", Err(NotAbsolute)),
            ("//client.example/ping", Err(NotAbsolute)),
            ("client.example/ping", Err(NotAbsolute)),
            ("https://", Err(NotAbsolute)),
            ("https://client.example:65536/", Err(NotAbsolute)),
            ("http://client.example/", Err(NotHttps)),
            ("http://localhost/", Err(NotHttps)),
            ("ftp://client.example/", Err(NotHttps)),
            ("file:///etc/passwd", Err(NotHttps)),
            ("javascript:alert(1)", Err(NotHttps)),
            ("https://client.example/#x", Err(Fragment)),
            ("https://client.example/#", Err(Fragment)),
            ("https://user@client.example/", Err(UserInfo)),
            ("https://user:pass@client.example/", Err(UserInfo)),
            ("https://:pass@client.example/", Err(UserInfo)),
            ("https://@client.example/", Err(UserInfo)),
            ("https://:@client.example/", Err(UserInfo)),
            ("https:\\\\user@client.example\\", Err(UserInfo)),
        ];
        for (text, expected) in table {
            assert_eq!(notification_endpoint(text, false).map(drop), expected, "{text}");
        }
    }

    #[test]
    fn c_044_an_endpoint_has_at_most_2048_characters() {
        let of_length = |length: usize| format!("{:x<length$}", "https://client.example/");
        assert!(notification_endpoint(&of_length(MAX_URL), false).is_ok());
        assert_eq!(
            notification_endpoint(&of_length(MAX_URL + 1), false),
            Err(EndpointError::TooLong)
        );
    }

    #[test]
    fn c_404_http_goes_to_this_machine_alone_and_only_where_that_is_allowed() {
        for allowed in ["http://localhost:1/", "http://127.0.0.1:1/x", "http://[::1]/"] {
            assert!(notification_endpoint(allowed, true).is_ok(), "{allowed}");
            assert_eq!(
                notification_endpoint(allowed, false),
                Err(EndpointError::NotHttps)
            );
        }
        for never in [
            "http://127.0.0.2/",
            "http://localhost.example/",
            "http://localhost./",
            "http://sub.localhost/",
            "http://[::ffff:127.0.0.1]/",
            "http://10.0.0.1/",
            "ws://localhost/",
        ] {
            assert_eq!(
                notification_endpoint(never, true),
                Err(EndpointError::NotHttps),
                "{never}"
            );
        }
    }
}

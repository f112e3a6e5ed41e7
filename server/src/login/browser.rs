//! Which browser is which: a random cookie, and what a page carries to prove that this browser was shown it.

use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use device_proto::RequestId;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::random::random;

/// A browser, told from others by a random cookie.
pub(super) struct Browser(String);

impl Browser {
    /// Makes one that was never here.
    pub(super) fn fresh() -> Self {
        Self(Base64UrlUnpadded::encode_string(&random::<16>()))
    }

    /// Returns the browser that sent these cookies.
    pub(super) fn of(jar: &CookieJar, public_url: &Url) -> Option<Self> {
        jar.get(cookie_name(public_url))
            .map(|cookie| Self(cookie.value().to_owned()))
    }

    /// Returns the cookie to set.
    pub(super) fn cookie(&self, public_url: &Url) -> Cookie<'static> {
        Cookie::build((cookie_name(public_url), self.0.clone()))
            .path("/")
            .http_only(true)
            .secure(is_https(public_url))
            // The way back from the provider is a navigation from another site: Strict would lose the cookie.
            .same_site(SameSite::Lax)
            .build()
    }

    /// Returns what the page of one session carries to prove that this browser was shown it. It opens no other
    /// session's way.
    pub(super) fn seen(&self, session: &RequestId) -> String {
        let digest = Sha256::new()
            .chain_update(&self.0)
            .chain_update([0])
            .chain_update(session.as_str())
            .finalize();
        Base64UrlUnpadded::encode_string(&digest)
    }

    /// Whether a page carried [`Browser::seen`].
    pub(super) fn has_seen(&self, session: &RequestId, claimed: &str) -> bool {
        self.seen(session).as_bytes().ct_eq(claimed.as_bytes()).into()
    }

    /// Returns a hash by which the browser is recognised when it comes back.
    pub(super) fn print(&self) -> String {
        Base64UrlUnpadded::encode_string(&Sha256::digest(self.0.as_bytes()))
    }
}

fn is_https(public_url: &Url) -> bool {
    public_url.scheme() == "https"
}

/// `__Host-` keeps other hosts of the domain from setting it; browsers allow the prefix on https only.
fn cookie_name(public_url: &Url) -> &'static str {
    if is_https(public_url) {
        "__Host-ciba-login"
    } else {
        "ciba-login"
    }
}

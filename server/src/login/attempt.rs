//! A person on the way to the identity provider and back: what is remembered under `state`, once.

use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use device_proto::RequestId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::{Key, Put, Space};
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::app::App;
use crate::clock::now;
use crate::random::random;
use crate::token::Redeem;

/// How long the way to the provider and back may take, seconds.
const VALID: u64 = 600;

/// Under `state` in the store. Useless without the code and without the browser's cookie.
#[derive(Serialize, Deserialize)]
pub(super) struct Attempt {
    pub(super) session: RequestId,
    pub(super) redeem: Redeem,
    /// SHA-256 of the browser's cookie: who set out is who comes back (RFC 6749 §10.12).
    browser: String,
}

impl Attempt {
    pub(super) fn new(session: RequestId, redeem: Redeem, browser: &Browser) -> Self {
        Self {
            session,
            redeem,
            browser: browser.print(),
        }
    }

    /// Remembers the attempt until it comes back.
    pub(super) async fn keep(&self, app: &App, state: &str) -> Result<(), store::Error> {
        let value = serde_json::to_vec(self).expect("texts always serialize");
        // 128 random bits that exist already: not in this universe, and then the callback finds another's attempt
        // and refuses it for its browser.
        let (Put::Done(_) | Put::Exists) = app
            .store
            .put_if_absent(key(state), value, now().plus(VALID), now())
            .await?;
        Ok(())
    }

    /// Takes the attempt out: a second callback with the same state finds nothing (D-022).
    pub(super) async fn take(app: &App, state: &str) -> Result<Option<Self>, store::Error> {
        let value = app.store.take(key(state), now()).await?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// Whether this browser is the one that set out.
    pub(super) fn is_of(&self, browser: Option<&Browser>) -> bool {
        browser.is_some_and(|browser| browser.print().as_bytes().ct_eq(self.browser.as_bytes()).into())
    }
}

fn key(state: &str) -> Key<'_> {
    Key {
        space: Space::Login,
        id: state,
    }
}

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

    fn print(&self) -> String {
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

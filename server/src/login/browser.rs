//! Which browser is which on the way to the provider and back: a random cookie, what a page carries to prove that this
//! browser was shown it, and what only this browser opens again.

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use axum_extra::extract::cookie::{Cookie, CookieJar};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use device_proto::RequestId;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::browser::{hardened, name};
use crate::random::random;

/// The cookie; [`name`] says how it is really called.
const COOKIE: &str = "ciba-login";

/// Bytes of a nonce of AES-GCM.
const NONCE_LEN: usize = 12;

/// A browser, told from others by a random cookie.
pub(super) struct Browser(String);

impl Browser {
    /// Makes one that was never here.
    pub(super) fn fresh() -> Self {
        Self(Base64UrlUnpadded::encode_string(&random::<16>()))
    }

    /// Returns the browser that sent these cookies.
    pub(super) fn of(jar: &CookieJar, public_url: &Url) -> Option<Self> {
        jar.get(&name(COOKIE, public_url))
            .map(|cookie| Self(cookie.value().to_owned()))
    }

    /// Returns the cookie to set.
    pub(super) fn cookie(&self, public_url: &Url) -> Cookie<'static> {
        hardened(COOKIE, self.0.clone(), public_url)
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

    /// Seals a text that only this browser opens again: the store, which has the browser's hash alone, does not.
    pub(super) fn seal(&self, text: &str) -> String {
        let nonce = random::<NONCE_LEN>();
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), text.as_bytes());
        let sealed = sealed.expect("a text is shorter than 64 GiB");
        Base64UrlUnpadded::encode_string(&[&nonce[..], &sealed].concat())
    }

    /// Opens what [`Browser::seal`] made.
    pub(super) fn open(&self, sealed: &str) -> Option<String> {
        let sealed = Base64UrlUnpadded::decode_vec(sealed).ok()?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let text = self.cipher().decrypt(&Nonce::from(*nonce), sealed).ok()?;
        String::from_utf8(text).ok()
    }

    fn cipher(&self) -> Aes256Gcm {
        let key = Sha256::new()
            .chain_update("what a browser seals\0")
            .chain_update(&self.0)
            .finalize();
        Aes256Gcm::new(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::Browser;

    #[test]
    fn c_233_what_a_browser_sealed_opens_in_that_browser_alone() {
        let (one, other) = (Browser::fresh(), Browser::fresh());
        let sealed = one.seal("/ciba/approve?auth_req_id=x");
        assert!(!sealed.contains("approve"));
        assert_eq!(one.open(&sealed).as_deref(), Some("/ciba/approve?auth_req_id=x"));
        assert_eq!(other.open(&sealed), None);
        for broken in ["", "x", &sealed[..sealed.len() - 2], &sealed[2..]] {
            assert_eq!(one.open(broken), None, "{broken}");
        }
        assert_ne!(one.seal("x"), one.seal("x"));
    }
}

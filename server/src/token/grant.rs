//! What the provider gives: a login's grant, and access tokens.

use zeroize::Zeroizing;

/// What the provider gave for a login (step 2 of the token's way). It lives in the request that got it.
pub(crate) struct Grant {
    /// The login's own access token.
    pub(crate) access: AccessToken,
    /// What the next access token is asked for with.
    pub(crate) refresh_token: Option<Zeroizing<String>>,
    /// When the refresh token ends, Unix seconds, if the provider says so.
    pub(crate) refresh_ends: Option<u64>,
    /// The id_token's `sub`.
    pub(crate) subject: Option<String>,
}

/// An access token, the login's own or an exchanged one.
pub(crate) struct AccessToken {
    pub(crate) text: Zeroizing<String>,
    /// Unix seconds.
    pub(crate) expires_at: u64,
    pub(crate) scope: Option<String>,
    /// RFC 8693 §2.2.1, for an exchanged one.
    pub(crate) issued_type: Option<String>,
}

impl AccessToken {
    /// Whether the token is still valid after `until`, Unix seconds.
    pub(crate) fn lasts(&self, until: u64) -> bool {
        self.expires_at > until
    }
}

impl Grant {
    /// Returns when the session ends for want of tokens, if that is known.
    pub(crate) fn ends(&self) -> Option<u64> {
        match self.refresh_token {
            Some(_) => self.refresh_ends,
            None => Some(self.access.expires_at),
        }
    }
}

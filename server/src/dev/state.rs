//! What the provider remembers: logins under way, codes, and grants with the tokens that hang on them.
//!
//! A token is good only while its grant is there. So a family is revoked by removing one entry, and what a full map
//! has dropped is refused.

use super::expiring::Expiring;
use super::pkce::Challenge;
use super::scope::Scope;
use super::secret::Fingerprint;
use super::users::User;

/// How long a person may take to sign in, seconds.
pub(super) const LOGIN_TTL: u64 = 600;

/// How long a code may be redeemed, seconds (RFC 6749 §4.1.2 allows ten minutes at most).
pub(super) const CODE_TTL: u64 = 60;

/// How long a redeemed code is remembered, so that its replay is noticed, seconds.
const REPLAY_MEMORY: u64 = 600;

/// An authorization request whose person has not signed in yet.
pub(super) struct Login {
    /// Fingerprint of the cookie that binds it to one browser.
    pub(super) browser: Fingerprint,
    pub(super) request: Request,
}

/// What the client asked for at the authorization endpoint.
pub(super) struct Request {
    pub(super) challenge: Challenge,
    pub(super) scope: Scope,
    pub(super) state: Option<String>,
    pub(super) nonce: Option<String>,
}

/// A request that a person has agreed to.
pub(super) struct Authorization {
    pub(super) request: Request,
    pub(super) user: &'static User,
    /// When the person signed in, Unix seconds.
    pub(super) auth_time: u64,
}

/// What a person gave the client: the family to which refresh and access tokens belong.
pub(super) struct Grant {
    pub(super) user: &'static User,
    pub(super) scope: Scope,
    /// The one refresh token that has not been used yet.
    pub(super) refresh_token: Option<Fingerprint>,
    /// When the grant and its refresh token end, Unix seconds.
    pub(super) expires: u64,
}

/// Names a grant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct GrantId(u64);

enum Code {
    Fresh(Authorization),
    Redeemed(GrantId),
}

/// Everything the provider remembers.
#[derive(Default)]
pub(super) struct State {
    logins: Expiring<String, Login>,
    codes: Expiring<Fingerprint, Code>,
    grants: Expiring<GrantId, Grant>,
    /// Refresh tokens, spent ones too: those are how reuse is noticed.
    refresh_tokens: Expiring<Fingerprint, GrantId>,
    /// Access tokens that are not revoked, by `jti`.
    access_tokens: Expiring<String, GrantId>,
    grants_made: u64,
}

impl State {
    pub(super) fn open_login(&mut self, id: String, login: Login, now: u64) {
        self.logins.put(id, login, now + LOGIN_TTL, now);
    }

    /// Whether a login of this id waits for the browser that holds this cookie.
    pub(super) fn login_waits(&self, id: &str, cookie: &str, now: u64) -> bool {
        self.logins
            .get(&id.to_owned(), now)
            .is_some_and(|login| login.browser.matches(cookie))
    }

    /// Ends a login, whichever way it went, and returns what was asked for.
    pub(super) fn close_login(&mut self, id: &str, now: u64) -> Option<Request> {
        self.logins.take(&id.to_owned(), now).map(|login| login.request)
    }

    pub(super) fn keep_code(&mut self, code: Fingerprint, authorization: Authorization, now: u64) {
        self.codes
            .put(code, Code::Fresh(authorization), now + CODE_TTL, now);
    }

    /// Takes a code that was not redeemed yet. One that comes twice may have been stolen: what it gave is
    /// revoked (RFC 6749 §4.1.2).
    pub(super) fn take_code(&mut self, code: Fingerprint, now: u64) -> Option<Authorization> {
        match self.codes.take(&code, now)? {
            Code::Fresh(authorization) => Some(authorization),
            Code::Redeemed(grant) => {
                self.grants.take(&grant, now);
                None
            }
        }
    }

    /// Opens the grant that a code stood for.
    pub(super) fn redeem(&mut self, code: Fingerprint, grant: Grant, now: u64) -> GrantId {
        self.grants_made += 1;
        let id = GrantId(self.grants_made);
        self.codes.put(code, Code::Redeemed(id), now + REPLAY_MEMORY, now);
        self.keep_grant(id, grant, now);
        id
    }

    /// Takes the grant of a refresh token out; [`State::keep_grant`] puts it back.
    ///
    /// A token that was used before may have been stolen, so then the grant stays out: the family is revoked (RFC 9700
    /// §4.14.2).
    pub(super) fn take_grant(&mut self, token: Fingerprint, now: u64) -> Option<(GrantId, Grant)> {
        let id = *self.refresh_tokens.get(&token, now)?;
        let grant = self.grants.take(&id, now)?;
        (grant.refresh_token == Some(token)).then_some((id, grant))
    }

    /// Keeps a grant, and its refresh token with it, until the grant expires.
    pub(super) fn keep_grant(&mut self, id: GrantId, grant: Grant, now: u64) {
        if let Some(token) = grant.refresh_token {
            self.refresh_tokens.put(token, id, grant.expires, now);
        }
        let expires = grant.expires;
        self.grants.put(id, grant, expires, now);
    }

    pub(super) fn keep_access_token(&mut self, jti: String, grant: GrantId, expires: u64, now: u64) {
        self.access_tokens.put(jti, grant, expires, now);
    }

    /// Returns the grant of an access token that is neither revoked nor orphaned.
    pub(super) fn grant_of_access_token(&self, jti: &str, now: u64) -> Option<(GrantId, &Grant)> {
        let id = *self.access_tokens.get(&jti.to_owned(), now)?;
        self.grants.get(&id, now).map(|grant| (id, grant))
    }

    /// Revokes a refresh token and everything of its family.
    pub(super) fn revoke_refresh_token(&mut self, token: Fingerprint, now: u64) {
        if let Some(id) = self.refresh_tokens.take(&token, now) {
            self.grants.take(&id, now);
        }
    }

    /// Revokes one access token.
    pub(super) fn revoke_access_token(&mut self, jti: &str, now: u64) {
        self.access_tokens.take(&jti.to_owned(), now);
    }
}

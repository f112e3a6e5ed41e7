//! Access tokens: made of a grant, and recognized when they come back.

use super::Provider;
use super::jwt::{ACCESS_TOKEN_TYP, AccessClaims};
use super::message::{BROKEN, TokenResponse};
use super::scope::Scope;
use super::secret;
use super::state::{Grant, GrantId};
use super::users::User;
use crate::refusal::Refusal;

impl Provider {
    /// Makes an access token of a grant, and the answer around it.
    pub(super) fn access_token(
        &self,
        grant: GrantId,
        user: &User,
        audience: &str,
        scope: &Scope,
    ) -> Result<TokenResponse, Refusal> {
        let now = self.now();
        let expires_in = self.config.access_token_ttl.as_secs();
        let claims = AccessClaims {
            iss: self.config.issuer_id().to_owned(),
            sub: user.username.to_owned(),
            aud: audience.to_owned(),
            client_id: self.config.client_id.clone(),
            iat: now,
            exp: now + expires_in,
            jti: secret::random().to_string(),
            scope: scope.to_string(),
        };
        let access_token = self.keys.sign(ACCESS_TOKEN_TYP, &claims).map_err(|_| BROKEN)?;
        self.state().keep_access_token(claims.jti, grant, claims.exp, now);
        Ok(TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in,
            scope: claims.scope,
            refresh_token: None,
            id_token: None,
            issued_token_type: None,
        })
    }

    /// When a grant ends that was used just now: with its refresh token, but not before its access token.
    pub(super) fn grant_expiry(&self, now: u64) -> u64 {
        now + self
            .config
            .refresh_token_ttl
            .max(self.config.access_token_ttl)
            .as_secs()
    }

    /// Returns the claims of an access token of our own that is still good, with its user and scope.
    pub(super) fn own_access_token(&self, token: &str) -> Option<(GrantId, &'static User, AccessClaims)> {
        let now = self.now();
        let claims = super::jwt::verify(token, &self.keys.public, self.config.issuer_id(), now).ok()?;
        let state = self.state();
        let (id, Grant { user, .. }) = state.grant_of_access_token(&claims.jti, now)?;
        Some((id, user, claims))
    }
}

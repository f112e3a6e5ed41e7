//! The token endpoint: knows the client, hands the request to its grant, and makes what the grant gives out.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::{Form, Json};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::jwt::{ACCESS_TOKEN_TYP, AccessClaims};
use super::scope::Scope;
use super::state::{Grant, GrantId};
use super::users::User;
use super::{Provider, client, code_grant, exchange_grant, refresh_grant, secret};
use crate::refusal::Refusal;

/// The form of a client is none, or too long.
pub(super) const UNREADABLE: Refusal = Refusal::invalid_request("the form cannot be read");
pub(super) const TOO_WIDE: Refusal = Refusal::invalid_scope("the scope exceeds what was granted");
/// Signing failed.
pub(super) const BROKEN: Refusal = Refusal::server_error("the provider could not finish the request");

const NO_GRANT_TYPE: Refusal = Refusal::invalid_request("grant_type is missing");
const UNKNOWN_GRANT_TYPE: Refusal = Refusal::unsupported_grant_type();

/// Everything a token request may carry; each grant picks its own. A parameter given twice is refused.
#[derive(Deserialize)]
pub(super) struct TokenRequest {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    pub(super) scope: Option<String>,
    // authorization_code
    pub(super) code: Option<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) code_verifier: Option<String>,
    // refresh_token
    pub(super) refresh_token: Option<String>,
    // token exchange
    pub(super) subject_token: Option<String>,
    pub(super) subject_token_type: Option<String>,
    pub(super) requested_token_type: Option<String>,
    pub(super) actor_token: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) resource: Option<String>,
}

/// A successful answer (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3, RFC 8693 §2.2.1).
#[derive(Serialize)]
pub(super) struct TokenResponse {
    pub(super) access_token: String,
    pub(super) token_type: &'static str,
    pub(super) expires_in: u64,
    pub(super) scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issued_token_type: Option<&'static str>,
}

/// `POST /token`.
pub(super) async fn token(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    form: Result<Form<TokenRequest>, FormRejection>,
) -> Result<Json<TokenResponse>, Refusal> {
    let Form(request) = form.map_err(|_| UNREADABLE)?;
    let (id, secret) = (request.client_id.as_deref(), request.client_secret.as_deref());
    client::authenticate(&provider.config, &headers, id, secret)?;
    let response = match request.grant_type.as_deref() {
        Some(code_grant::GRANT_TYPE) => code_grant::grant(&provider, &request),
        Some(refresh_grant::GRANT_TYPE) => refresh_grant::grant(&provider, &request),
        Some(exchange_grant::GRANT_TYPE) => exchange_grant::grant(&provider, &request),
        Some(_) => Err(UNKNOWN_GRANT_TYPE),
        None => Err(NO_GRANT_TYPE),
    };
    response.map(Json)
}

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

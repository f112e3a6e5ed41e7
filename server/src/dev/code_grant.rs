//! Grant `authorization_code`: a code becomes tokens, once (RFC 6749 §4.1.3, RFC 7636 §4.6).

use super::Provider;
use super::config::{DEFAULT_AUDIENCE, RefreshTokens};
use super::jwt::{ID_TOKEN_TYP, IdClaims};
use super::message::{BROKEN, TokenRequest, TokenResponse};
use super::scope::Scope;
use super::secret::{self, Fingerprint};
use super::state::{Authorization, Grant, GrantId};
use crate::refusal::Refusal;

const NO_CODE: Refusal = Refusal::invalid_request("code is missing");
const BAD_CODE: Refusal =
    Refusal::invalid_grant("the code is unknown, expired or used, or was given to somebody else");

pub(super) fn grant(provider: &Provider, request: &TokenRequest) -> Result<TokenResponse, Refusal> {
    let code = request.code.as_deref().ok_or(NO_CODE)?;
    let refresh_token = secret::random();
    let (id, authorization, scope) = redeem(provider, request, Fingerprint::of(code), &refresh_token)?;
    let mut response = provider.access_token(id, authorization.user, DEFAULT_AUDIENCE, &scope)?;
    response.id_token = Some(id_token(provider, &authorization)?);
    response.refresh_token = wants_refresh_token(provider, &scope).then(|| refresh_token.to_string());
    Ok(response)
}

/// Takes the code, checks that this is its client and opens the grant, all under one lock. A code that fails
/// the check is gone as well: it was presented by another client than its own.
fn redeem(
    provider: &Provider,
    request: &TokenRequest,
    code: Fingerprint,
    refresh_token: &str,
) -> Result<(GrantId, Authorization, Scope), Refusal> {
    let now = provider.now();
    let mut state = provider.state();
    let authorization = state.take_code(code, now).ok_or(BAD_CODE)?;
    if !presented_by_its_client(provider, request, &authorization) {
        return Err(BAD_CODE);
    }
    let scope = authorization.request.scope.clone();
    let grant = Grant {
        user: authorization.user,
        scope: scope.clone(),
        refresh_token: wants_refresh_token(provider, &scope).then(|| Fingerprint::of(refresh_token)),
        expires: provider.grant_expiry(now),
    };
    Ok((state.redeem(code, grant, now), authorization, scope))
}

fn presented_by_its_client(
    provider: &Provider,
    request: &TokenRequest,
    authorization: &Authorization,
) -> bool {
    let redirect_uri = request.redirect_uri.as_deref().unwrap_or_default();
    let verifier = request.code_verifier.as_deref().unwrap_or_default();
    redirect_uri == provider.config.redirect_uri.as_str()
        && authorization.request.challenge.is_met_by(verifier)
}

fn wants_refresh_token(provider: &Provider, scope: &Scope) -> bool {
    match provider.config.refresh_tokens {
        RefreshTokens::Always => true,
        RefreshTokens::OnOfflineAccess => scope.contains("offline_access"),
    }
}

fn id_token(provider: &Provider, authorization: &Authorization) -> Result<String, Refusal> {
    let now = provider.now();
    let user = authorization.user;
    let claims = IdClaims {
        iss: provider.config.issuer_id(),
        sub: user.username,
        aud: &provider.config.client_id,
        exp: now + provider.config.access_token_ttl.as_secs(),
        iat: now,
        auth_time: authorization.auth_time,
        nonce: authorization.request.nonce.as_deref(),
        name: user.name,
        email: user.email,
        preferred_username: user.username,
    };
    provider.keys.sign(ID_TOKEN_TYP, &claims).map_err(|_| BROKEN)
}

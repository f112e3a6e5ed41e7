//! Grant `refresh_token`: every use brings a new refresh token, and a second use of an old one ends the family
//! (RFC 6749 §6, RFC 9700 §4.14.2).

use super::Provider;
use super::config::DEFAULT_AUDIENCE;
use super::message::{TOO_WIDE, TokenRequest, TokenResponse};
use super::scope::Scope;
use super::secret::{self, Fingerprint};
use super::state::GrantId;
use super::users::User;
use crate::refusal::Refusal;

const NO_TOKEN: Refusal = Refusal::invalid_request("refresh_token is missing");
const BAD_TOKEN: Refusal = Refusal::invalid_grant("the refresh token is unknown, expired, used or revoked");

pub(super) fn grant(provider: &Provider, request: &TokenRequest) -> Result<TokenResponse, Refusal> {
    let old = request.refresh_token.as_deref().ok_or(NO_TOKEN)?;
    let new = secret::random();
    let (id, user, scope) = rotate(
        provider,
        Fingerprint::of(old),
        Fingerprint::of(&new),
        request.scope.as_deref(),
    )?;
    let mut response = provider.access_token(id, user, DEFAULT_AUDIENCE, &scope)?;
    response.refresh_token = Some(new.to_string());
    Ok(response)
}

/// Puts the new token in the place of the old one, and returns what the access token is to say.
fn rotate(
    provider: &Provider,
    old: Fingerprint,
    new: Fingerprint,
    asked: Option<&str>,
) -> Result<(GrantId, &'static User, Scope), Refusal> {
    let now = provider.now();
    let mut state = provider.state();
    let (id, mut grant) = state.take_grant(old, now).ok_or(BAD_TOKEN)?;
    let user = grant.user;
    let scope = grant.scope.narrowed(asked);
    if scope.is_some() {
        grant.refresh_token = Some(new);
        grant.expires = provider.grant_expiry(now);
    }
    state.keep_grant(id, grant, now);
    scope.map(|scope| (id, user, scope)).ok_or(TOO_WIDE)
}

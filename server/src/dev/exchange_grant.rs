//! Grant `token-exchange`: an access token of a login becomes one for another audience (RFC 8693).

use url::Url;

use super::Provider;
use super::config::DEFAULT_AUDIENCE;
use super::message::{TOO_WIDE, TokenRequest, TokenResponse};
use super::scope::Scope;
use crate::refusal::Refusal;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

const NO_SUBJECT: Refusal = Refusal::invalid_request("subject_token is missing");
const BAD_SUBJECT: Refusal =
    Refusal::invalid_request("the subject token is not a valid access token of a login");
const BAD_SUBJECT_TYPE: Refusal = Refusal::invalid_request("subject_token_type is missing or not supported");
const BAD_REQUESTED_TYPE: Refusal = Refusal::invalid_request("requested_token_type is not supported");
const NO_DELEGATION: Refusal = Refusal::invalid_request("delegation is not supported");
const NOT_ONE_TARGET: Refusal = Refusal::invalid_request("exactly one of audience and resource is needed");
const UNKNOWN_TARGET: Refusal = Refusal::invalid_target("the audience or resource is unknown");

pub(super) fn grant(provider: &Provider, request: &TokenRequest) -> Result<TokenResponse, Refusal> {
    check_types(request)?;
    let target = target(request)?;
    let token = request.subject_token.as_deref().ok_or(NO_SUBJECT)?;
    // Only the login's own token may be exchanged: a chain of exchanges could outlive its lifetime.
    let (id, user, claims) = provider
        .own_access_token(token)
        .filter(|(.., claims)| claims.aud == DEFAULT_AUDIENCE)
        .ok_or(BAD_SUBJECT)?;
    if !provider.config.targets.knows(target) {
        return Err(UNKNOWN_TARGET);
    }
    let scope = Scope::of_request(&claims.scope)
        .narrowed(request.scope.as_deref())
        .ok_or(TOO_WIDE)?;
    let mut response = provider.access_token(id, user, target, &scope)?;
    response.issued_token_type = Some(ACCESS_TOKEN);
    Ok(response)
}

fn check_types(request: &TokenRequest) -> Result<(), Refusal> {
    let ours = |kind: &str| kind == ACCESS_TOKEN || kind == JWT;
    if !request.subject_token_type.as_deref().is_some_and(ours) {
        return Err(BAD_SUBJECT_TYPE);
    }
    if !request.requested_token_type.as_deref().is_none_or(ours) {
        return Err(BAD_REQUESTED_TYPE);
    }
    match request.actor_token {
        Some(_) => Err(NO_DELEGATION),
        None => Ok(()),
    }
}

/// The one audience or resource that is asked for.
fn target(request: &TokenRequest) -> Result<&str, Refusal> {
    match (request.audience.as_deref(), request.resource.as_deref()) {
        (Some(audience), None) => Ok(audience),
        (None, Some(resource)) if is_resource(resource) => Ok(resource),
        (None, Some(_)) => Err(UNKNOWN_TARGET),
        _ => Err(NOT_ONE_TARGET),
    }
}

/// Whether this is an absolute URI without a fragment (RFC 8707 §2).
fn is_resource(text: &str) -> bool {
    Url::parse(text).is_ok_and(|uri| uri.fragment().is_none())
}

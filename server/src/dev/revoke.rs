//! Token revocation (RFC 7009): a refresh token takes its family with it, an access token goes alone.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::message::UNREADABLE;
use super::secret::Fingerprint;
use super::{Provider, client, jwt};
use crate::refusal::Refusal;

const NO_TOKEN: Refusal = Refusal::invalid_request("token is missing");

/// The form of a revocation; `token_type_hint` would only save a look-up.
#[derive(Deserialize)]
pub(super) struct Revocation {
    token: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// `POST /revoke`. A token that is unknown or gone already is a success (RFC 7009 §2.2).
pub(super) async fn revoke(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    form: Result<Form<Revocation>, FormRejection>,
) -> Result<StatusCode, Refusal> {
    let Form(request) = form.map_err(|_| UNREADABLE)?;
    let (id, secret) = (request.client_id.as_deref(), request.client_secret.as_deref());
    client::authenticate(&provider.config, &headers, id, secret)?;
    let token = request.token.ok_or(NO_TOKEN)?;
    let now = provider.now();
    match jwt::verify(&token, &provider.keys.public, provider.config.issuer_id(), now) {
        Ok(claims) => provider.state().revoke_access_token(&claims.jti, now),
        Err(_) => provider
            .state()
            .revoke_refresh_token(Fingerprint::of(&token), now),
    }
    Ok(StatusCode::OK)
}

//! The token endpoint: knows the client, and hands the request to its grant.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::{Form, Json};
use http::HeaderMap;

use super::message::{TokenRequest, TokenResponse, UNREADABLE};
use super::{Provider, client, code_grant, exchange_grant, refresh_grant};
use crate::refusal::Refusal;

const NO_GRANT_TYPE: Refusal = Refusal::invalid_request("grant_type is missing");
const UNKNOWN_GRANT_TYPE: Refusal = Refusal::unsupported_grant_type();

/// Answers a token request of its grant type.
type Grant = fn(&Provider, &TokenRequest) -> Result<TokenResponse, Refusal>;

/// Every grant there is, by `grant_type`.
pub(super) const GRANTS: [(&str, Grant); 3] = [
    ("authorization_code", code_grant::grant),
    ("refresh_token", refresh_grant::grant),
    (
        "urn:ietf:params:oauth:grant-type:token-exchange",
        exchange_grant::grant,
    ),
];

/// `POST /token`.
pub(super) async fn token(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    form: Result<Form<TokenRequest>, FormRejection>,
) -> Result<Json<TokenResponse>, Refusal> {
    let Form(request) = form.map_err(|_| UNREADABLE)?;
    let (id, secret) = (request.client_id.as_deref(), request.client_secret.as_deref());
    client::authenticate(&provider.config, &headers, id, secret)?;
    let grant_type = request.grant_type.as_deref().ok_or(NO_GRANT_TYPE)?;
    let mut grants = GRANTS.iter();
    let (_, grant) = grants
        .find(|(name, _)| *name == grant_type)
        .ok_or(UNKNOWN_GRANT_TYPE)?;
    grant(&provider, &request).map(Json)
}

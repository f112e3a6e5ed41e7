//! What the provider says of itself: its metadata (OpenID Connect Discovery §3, RFC 8414) and its public key.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jsonwebtoken::jwk::JwkSet;
use serde_json::{Value, json};

use super::token::GRANTS;
use super::{Provider, scope};

/// `GET /.well-known/openid-configuration`.
pub(super) async fn metadata(State(provider): State<Arc<Provider>>) -> Json<Value> {
    let config = &provider.config;
    let client_authentication = ["client_secret_basic", "client_secret_post"];
    Json(json!({
        "issuer": config.issuer_id(),
        "authorization_endpoint": config.endpoint("/authorize"),
        "token_endpoint": config.endpoint("/token"),
        "userinfo_endpoint": config.endpoint("/userinfo"),
        "revocation_endpoint": config.endpoint("/revoke"),
        "jwks_uri": config.endpoint("/jwks"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": GRANTS.map(|(name, _)| name),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": client_authentication,
        "revocation_endpoint_auth_methods_supported": client_authentication,
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": scope::KNOWN,
        "claims_supported":
            ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "name", "email", "preferred_username"],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    }))
}

/// `GET /jwks`.
pub(super) async fn jwks(State(provider): State<Arc<Provider>>) -> Json<JwkSet> {
    Json(provider.keys.public.clone())
}

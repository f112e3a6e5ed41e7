//! What this server is to OAuth clients: who they are, how they prove it, and the tokens that they get.

pub(crate) mod alg;
pub(crate) mod allowed;
pub(crate) mod authenticate;
mod bearer;
mod certificate_key;
pub(crate) mod certificate_name;
pub(crate) mod certificates;
mod claims;
pub(crate) mod claims_command;
pub(crate) mod client;
pub(crate) mod client_credentials;
pub(crate) mod clients;
pub(crate) mod configured;
pub(crate) mod discovery;
pub(crate) mod enrol;
pub(crate) mod grants;
mod hashes;
pub(crate) mod issue;
pub(crate) mod issuer;
pub(crate) mod jwt;
pub(crate) mod keys;
pub(crate) mod metadata;
pub(crate) mod offer;
pub(crate) mod parameters;
pub(crate) mod plain;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod token_endpoint;
pub(crate) mod unique;
pub(crate) mod used;
pub(crate) mod userinfo;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;

use self::token_endpoint::TokenEndpoint;
use self::userinfo::UserInfo;

/// Returns what clients ask of every provider.
pub(crate) fn routes(token_endpoint: Arc<TokenEndpoint>, userinfo: Arc<UserInfo>) -> Router {
    Router::new()
        .route(token_endpoint::PATH, post(token_endpoint::token))
        .with_state(token_endpoint)
        .merge(userinfo::routes(userinfo))
}

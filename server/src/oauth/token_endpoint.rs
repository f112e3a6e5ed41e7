//! The token endpoint: knows the client, and hands the request to its grant. Every grant is an entry of one table.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use http::header::CACHE_CONTROL;

use super::authenticate::{Authenticator, Caller};
use super::certificates::bound_to;
use super::client::Client;
use super::issue::TokenResponse;
use super::parameters::Parameters;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::tls::Certificate;

/// The path of the endpoint.
pub(crate) const PATH: &str = "/oauth2/token";

const NO_GRANT_TYPE: Refusal = Refusal::invalid_request("grant_type is missing");
const UNKNOWN_GRANT_TYPE: Refusal = Refusal::unsupported_grant_type();
const UNAUTHORIZED: Refusal = Refusal::unauthorized_client("the client may not use this grant type");

/// One way to get tokens.
pub(crate) trait GrantType: Send + Sync {
    /// Whether this client may use it at all.
    fn admits(&self, client: &Client) -> bool;

    /// Answers a token request. The tokens are bound to `certificate` (`x5t#S256`), if there is one.
    fn redeem<'a>(
        &'a self,
        client: &'a Client,
        request: &'a Parameters,
        certificate: Option<String>,
    ) -> BoxFuture<'a, Result<TokenResponse, Refusal>>;
}

/// The grants, by `grant_type`.
pub(crate) type GrantTypes = BTreeMap<&'static str, Arc<dyn GrantType>>;

/// The token endpoint of a server.
pub(crate) struct TokenEndpoint {
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) grant_types: GrantTypes,
}

/// `POST /oauth2/token`
pub(crate) async fn token(
    State(endpoint): State<Arc<TokenEndpoint>>,
    Extension(peer): Extension<Peer>,
    certificate: Option<Extension<Certificate>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let request = Parameters::of_form(&headers, body)?;
    let certificate = certificate.map(|Extension(shown)| shown);
    let from = (peer, certificate.as_ref());
    let client = Box::pin(endpoint.client(&headers, from, &request)).await?;
    // A poll may be held: what the connection has read so far is let go of.
    drop(headers);
    let grant_type = request.get("grant_type").ok_or(NO_GRANT_TYPE)?;
    let grant = endpoint
        .grant_types
        .get(grant_type.trim_matches(' '))
        .ok_or(UNKNOWN_GRANT_TYPE)?;
    if !grant.admits(&client) {
        return Err(UNAUTHORIZED);
    }
    let certificate = bound_to(&client, certificate.as_ref())?;
    let response = grant.redeem(&client, &request, certificate).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(response)).into_response())
}

impl TokenEndpoint {
    async fn client(
        &self,
        headers: &HeaderMap,
        (peer, certificate): (Peer, Option<&Certificate>),
        request: &Parameters,
    ) -> Result<Arc<Client>, Refusal> {
        let caller = Caller {
            headers,
            address: peer.0,
            certificate,
            paths: &[PATH],
        };
        self.authenticator.authenticate(&caller, request).await
    }
}

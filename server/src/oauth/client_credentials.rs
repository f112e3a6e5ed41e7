//! Grant `client_credentials`: a client acts for itself (RFC 6749 §4.4). It gets an access token and nothing else.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::allowed::{self, may_have};
use super::client::{CLIENT_CREDENTIALS_GRANT, Client};
use super::grants::Grant;
use super::issue::{Delivery, Issuer, TokenResponse};
use super::parameters::Parameters;
use super::token_endpoint::GrantType;
use crate::cause::chain;
use crate::config::OAuth;
use crate::refusal::Refusal;

/// Scopes that are about a person, and there is none.
const OF_PEOPLE: [&str; 2] = ["openid", "offline_access"];

const BAD_SCOPE: Refusal =
    Refusal::invalid_scope("a scope is unknown, is about a person, or is not allowed for the client");
const BAD_RESOURCE: Refusal = Refusal::invalid_target("a resource is unknown, or not allowed for the client");
const NOT_ISSUED: Refusal = Refusal::server_error("the token could not be made");

/// The grant.
pub(crate) struct ClientCredentials {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) oauth: OAuth,
}

impl GrantType for ClientCredentials {
    fn admits(&self, client: &Client) -> bool {
        let may = client.is_vouched_for() || self.oauth.registration_client_credentials;
        may && client.has_grant(CLIENT_CREDENTIALS_GRANT)
    }

    fn redeem<'a>(
        &'a self,
        client: &'a Client,
        request: &'a Parameters,
        certificate: Option<String>,
    ) -> BoxFuture<'a, Result<TokenResponse, Refusal>> {
        self.granted(client, request, certificate).boxed()
    }
}

impl ClientCredentials {
    async fn granted(
        &self,
        client: &Client,
        request: &Parameters,
        certificate: Option<String>,
    ) -> Result<TokenResponse, Refusal> {
        let mut grant = Grant::new(&client.id, None, self.scope(client, request)?);
        let resources = allowed::resources(request, |resource| may_have(client, &self.oauth, resource));
        grant.resources = resources.ok_or(BAD_RESOURCE)?;
        grant.certificate = certificate;
        let made = self.issuer.begin(client, grant, Delivery::Asked).await;
        let (_, response) = made.map_err(|error| {
            tracing::error!(error = chain(&error), "a token could not be made");
            NOT_ISSUED
        })?;
        Ok(response)
    }

    /// Returns the scopes that the client asks for; without any, those that it registered (RFC 6749 §3.3).
    fn scope(&self, client: &Client, request: &Parameters) -> Result<Vec<String>, Refusal> {
        let is_of_people = |value: &String| OF_PEOPLE.contains(&value.as_str());
        if let Some(asked) = request.get("scope") {
            let scope = allowed::scope(asked, client, &self.oauth);
            return scope
                .filter(|scope| !scope.iter().any(is_of_people))
                .ok_or(BAD_SCOPE);
        }
        let registered = client.metadata.scope.as_deref().unwrap_or_default();
        let mut scope = allowed::scope(registered, client, &self.oauth).unwrap_or_default();
        scope.retain(|value| !is_of_people(value));
        Ok(scope)
    }
}

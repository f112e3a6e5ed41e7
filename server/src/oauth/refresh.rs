//! Grant `refresh_token`: new tokens for what was granted before (RFC 6749 §6, OpenID Connect Core §12, C-302). A refresh
//! token is good once; one that comes a second time ends all tokens of its grant (RFC 9700 §4.14.2).

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::allowed::{self, may_ask_for, may_have};
use super::client::Client;
use super::grants::{Grant, GrantsError, Rotated};
use super::issue::{Delivery, Issuer, TokenResponse};
use super::parameters::Parameters;
use super::token_endpoint::GrantType;
use crate::cause::chain;
use crate::config::OAuth;
use crate::refusal::Refusal;
use crate::users::Users;

const NO_TOKEN: Refusal = Refusal::invalid_request("refresh_token is missing");
const BAD_TOKEN: Refusal = Refusal::invalid_grant("the refresh token is unknown, has expired or was used");
const NO_USER: Refusal = Refusal::invalid_grant("the user is gone");
const BAD_SCOPE: Refusal =
    Refusal::invalid_scope("a scope was not granted, or is no longer allowed for the client");
const BAD_RESOURCE: Refusal =
    Refusal::invalid_target("a resource was not granted, or is no longer allowed for the client");
const NOT_READ: Refusal = Refusal::unavailable("the grant cannot be read now");
const NOT_ISSUED: Refusal = Refusal::server_error("the tokens could not be made");

/// The grant.
pub(crate) struct Refresh {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) users: Arc<Users>,
    pub(crate) oauth: OAuth,
}

impl GrantType for Refresh {
    /// Every client: whether one has a refresh token was decided when it was issued (C-302).
    fn admits(&self, _: &Client) -> bool {
        true
    }

    fn redeem<'a>(
        &'a self,
        client: &'a Client,
        request: &'a Parameters,
        certificate: Option<String>,
    ) -> BoxFuture<'a, Result<TokenResponse, Refusal>> {
        self.refreshed(client, request, certificate).boxed()
    }
}

impl Refresh {
    async fn refreshed(
        &self,
        client: &Client,
        request: &Parameters,
        certificate: Option<String>,
    ) -> Result<TokenResponse, Refusal> {
        let token = request.get("refresh_token").ok_or(NO_TOKEN)?;
        // First what costs the client nothing: a request that asks for too much leaves the token as it is.
        let named = self
            .issuer
            .grants
            .named_by(token)
            .await
            .map_err(|error| unread(&error))?;
        let grant = named.filter(|grant| grant.is_of(client)).ok_or(BAD_TOKEN)?;
        self.still_there(&grant).await?;
        let scope = self.scope(client, &grant, request)?;
        let resources = self.resources(client, &grant, request)?;
        let ends = self.issuer.ends(true);
        match self
            .issuer
            .grants
            .rotate(token, client, ends)
            .await
            .map_err(|error| unread(&error))?
        {
            Rotated::Fresh(id, mut grant, fresh) => {
                grant.resources = resources;
                // The client's present one: certificates are renewed, too (RFC 8705 §7.1).
                grant.certificate = certificate;
                let made = self
                    .issuer
                    .tokens(client, (&id, &grant), &scope, Some(fresh), Delivery::Asked);
                made.map_err(|error| {
                    tracing::error!(error = chain(&error), "tokens could not be made");
                    NOT_ISSUED
                })
            }
            Rotated::Unknown => Err(BAD_TOKEN),
            Rotated::Reused => {
                tracing::warn!(
                    client = client.id,
                    "a refresh token came twice: its grant is gone"
                );
                Err(BAD_TOKEN)
            }
        }
    }

    async fn still_there(&self, grant: &Grant) -> Result<(), Refusal> {
        let Some(sub) = &grant.sub else { return Ok(()) };
        let user = self.users.get(sub).await.map_err(|error| {
            tracing::error!(error = chain(&error), "a user could not be read");
            NOT_READ
        })?;
        user.filter(|user| !user.disabled).map(drop).ok_or(NO_USER)
    }

    /// Returns the scopes that the client asks for (RFC 6749 §6); without any, all that were granted and that it still may have.
    fn scope(&self, client: &Client, grant: &Grant, request: &Parameters) -> Result<Vec<String>, Refusal> {
        let mut scope = grant.scope.clone();
        scope.retain(|value| may_ask_for(client, &self.oauth, value));
        if let Some(asked) = request.get("scope") {
            let asked: Vec<&str> = asked.split(' ').filter(|value| !value.is_empty()).collect();
            if !asked.iter().all(|value| scope.iter().any(|own| own == value)) {
                return Err(BAD_SCOPE);
            }
            scope.retain(|value| asked.contains(&value.as_str()));
        }
        if scope.is_empty() {
            Err(BAD_SCOPE)
        } else {
            Ok(scope)
        }
    }

    /// Returns the audience that the client asks for, or all that was granted and that it still may have. A grant that names no
    /// resource is for this server alone: the person who approved it was shown none (C-302, C-303).
    fn resources(
        &self,
        client: &Client,
        grant: &Grant,
        request: &Parameters,
    ) -> Result<Vec<String>, Refusal> {
        let mut resources = grant.resources.clone();
        resources.retain(|resource| may_have(client, &self.oauth, resource));
        if resources.is_empty() && !grant.resources.is_empty() {
            return Err(BAD_RESOURCE);
        }
        let is_left = |resource: &str| resources.iter().any(|own| own == resource);
        let asked = allowed::resources(request, is_left).ok_or(BAD_RESOURCE)?;
        Ok(if asked.is_empty() { resources } else { asked })
    }
}

fn unread(error: &GrantsError) -> Refusal {
    tracing::error!(error = chain(error), "a grant could not be read or changed");
    NOT_READ
}

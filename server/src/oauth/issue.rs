//! Tokens are made of a grant here: access token (RFC 9068), ID Token (OpenID Connect Core §2), and a refresh token.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;
use zeroize::Zeroizing;

use super::claims_command::{ClaimsCommand, ClaimsError};
use super::client::Client;
use super::grants::{Grant, GrantId, Grants, GrantsError, RefreshToken};
use super::hashes::left_half;
use super::keys::{KeyError, Keys};
use crate::clock::now;
use crate::config;
use crate::oauth::alg::Alg;
use crate::random::random;

/// `typ` of an access token (RFC 9068 §2.1). No ID Token has it, so none is mistaken for an access token.
pub(crate) const ACCESS_TOKEN_TYP: &str = "at+jwt";

/// `typ` of an ID Token.
pub(crate) const ID_TOKEN_TYP: &str = "JWT";

/// How access tokens are signed.
const ACCESS_TOKEN_ALG: Alg = Alg::ES256;

/// Tokens could not be made.
#[derive(Debug, Error)]
pub(crate) enum IssueError {
    /// The operator's program gave no claims.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// The grant could not be kept.
    #[error(transparent)]
    Grants(#[from] GrantsError),
    /// They could not be signed.
    #[error("a token could not be signed")]
    Sign(#[from] KeyError),
}

/// A successful answer of the token endpoint (RFC 6749 §5.1, CIBA Core §10.1.1). It is all secrets: no `Debug`.
#[derive(Serialize)]
pub(crate) struct TokenResponse {
    pub(crate) access_token: Zeroizing<String>,
    pub(crate) token_type: &'static str,
    pub(crate) expires_in: u64,
    pub(crate) scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id_token: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorization_details: Option<Value>,
}

/// What an ID Token of this answer says beside the usual.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery<'a> {
    /// The client asks for it.
    Asked,
    /// It is pushed: it names the request, and the tokens beside it (C-361).
    Pushed { auth_req_id: &'a str },
}

/// Makes tokens.
pub(crate) struct Issuer {
    /// `iss`
    pub(crate) name: String,
    pub(crate) keys: Arc<Keys>,
    pub(crate) grants: Grants,
    claims_command: Option<ClaimsCommand>,
    access_token_expires_in: u64,
    refresh_token_expires_in: u64,
}

#[derive(Serialize)]
struct AccessClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: Audience<'a>,
    client_id: &'a str,
    iat: u64,
    exp: u64,
    jti: String,
    /// The grant that it hangs on.
    grant: &'a str,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Actor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_details: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation<'a>>,
    #[serde(flatten)]
    more: &'a Map<String, Value>,
}

/// RFC 8693 §4.1
#[derive(Serialize)]
struct Actor<'a> {
    sub: &'a str,
}

/// RFC 8705 §3.1
#[derive(Serialize)]
struct Confirmation<'a> {
    #[serde(rename = "x5t#S256")]
    certificate: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Audience<'a> {
    One(&'a str),
    Many(&'a [String]),
}

#[derive(Serialize)]
struct IdClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: u64,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    amr: &'a [String],
    at_hash: String,
    #[serde(
        rename = "urn:openid:params:jwt:claim:rt_hash",
        skip_serializing_if = "Option::is_none"
    )]
    rt_hash: Option<String>,
    #[serde(
        rename = "urn:openid:params:jwt:claim:auth_req_id",
        skip_serializing_if = "Option::is_none"
    )]
    auth_req_id: Option<&'a str>,
}

impl Issuer {
    pub(crate) fn new(name: String, keys: Arc<Keys>, grants: Grants, config: &config::OAuth) -> Self {
        Self {
            name,
            keys,
            grants,
            claims_command: config.claims_command.clone().map(ClaimsCommand::new),
            access_token_expires_in: config.access_token_expires_in,
            refresh_token_expires_in: config.refresh_token_expires_in,
        }
    }

    /// Keeps a grant and makes its first tokens. Nothing hangs on it until the answer is out: a caller that changes its mind
    /// takes it back with [`Grants::revoke`].
    pub(crate) async fn begin(
        &self,
        client: &Client,
        mut grant: Grant,
        delivery: Delivery<'_>,
    ) -> Result<(GrantId, TokenResponse), IssueError> {
        grant.incarnation.clone_from(&client.incarnation);
        let is_refreshable = grant.sub.is_some()
            && (grant.has_scope("offline_access") || client.metadata.terms.refresh_tokens);
        if let Some(command) = &self.claims_command {
            grant.claims = command.claims(&grant).await?;
        }
        grant.ends = self.ends(is_refreshable);
        let id = GrantId::draw();
        let refresh_token = self.grants.begin(&id, &mut grant, is_refreshable).await?;
        match self.tokens(client, (&id, &grant), &grant.scope, refresh_token, delivery) {
            Ok(response) => Ok((id, response)),
            Err(error) => {
                self.grants.revoke(&id).await?;
                Err(error)
            }
        }
    }

    /// When a grant ends that was used just now, Unix seconds: with its refresh token, but not before its access token.
    pub(crate) fn ends(&self, is_refreshable: bool) -> u64 {
        let refresh = if is_refreshable {
            self.refresh_token_expires_in
        } else {
            0
        };
        now().plus(self.access_token_expires_in.max(refresh)).seconds()
    }

    /// Makes the tokens of a grant, for all of its scope or a part.
    pub(crate) fn tokens(
        &self,
        client: &Client,
        (id, grant): (&GrantId, &Grant),
        scope: &[String],
        refresh_token: Option<RefreshToken>,
        delivery: Delivery<'_>,
    ) -> Result<TokenResponse, IssueError> {
        let scope_text = scope.join(" ");
        let access_token = self.access_token((id, grant), &scope_text)?;
        let is_openid = scope.iter().any(|scope| scope == "openid");
        let id_token = match grant.sub.as_deref().filter(|_| is_openid) {
            Some(sub) => Some(self.id_token(
                client,
                (grant, sub),
                (&access_token, refresh_token.as_ref()),
                delivery,
            )?),
            None => None,
        };
        Ok(TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in: self.access_token_expires_in,
            scope: scope_text,
            refresh_token: refresh_token.map(|token| token.0),
            id_token,
            authorization_details: grant.authorization_details.clone(),
        })
    }

    fn access_token(
        &self,
        (id, grant): (&GrantId, &Grant),
        scope: &str,
    ) -> Result<Zeroizing<String>, KeyError> {
        let iat = now().seconds();
        let audience = match &*grant.resources {
            [] => Audience::One(&self.name),
            [one] => Audience::One(one),
            many => Audience::Many(many),
        };
        let acts = grant.sub.is_some();
        let claims = AccessClaims {
            iss: &self.name,
            sub: grant.sub.as_deref().unwrap_or(&grant.client_id),
            aud: audience,
            client_id: &grant.client_id,
            iat,
            exp: iat + self.access_token_expires_in,
            jti: jti(),
            grant: id.as_str(),
            scope,
            act: acts.then_some(Actor {
                sub: &grant.client_id,
            }),
            auth_time: grant.auth_time,
            acr: grant.acr.as_deref(),
            authorization_details: grant.authorization_details.as_ref(),
            agent: grant.agent.as_ref(),
            cnf: grant
                .certificate
                .as_deref()
                .map(|certificate| Confirmation { certificate }),
            more: &grant.claims,
        };
        let token = self.keys.sign(ACCESS_TOKEN_ALG, ACCESS_TOKEN_TYP, &claims)?;
        Ok(Zeroizing::new(token))
    }

    fn id_token(
        &self,
        client: &Client,
        (grant, sub): (&Grant, &str),
        (access_token, refresh_token): (&str, Option<&RefreshToken>),
        delivery: Delivery<'_>,
    ) -> Result<Zeroizing<String>, KeyError> {
        let (iat, alg) = (now().seconds(), client.metadata.id_token_signed_response_alg);
        let pushed = match delivery {
            Delivery::Asked => None,
            Delivery::Pushed { auth_req_id } => Some(auth_req_id),
        };
        let claims = IdClaims {
            iss: &self.name,
            sub,
            aud: &client.id,
            exp: iat + self.access_token_expires_in,
            iat,
            auth_time: grant.auth_time,
            acr: grant.acr.as_deref(),
            amr: &grant.amr,
            at_hash: left_half(alg, access_token),
            rt_hash: refresh_token
                .filter(|_| pushed.is_some())
                .map(|token| left_half(alg, &token.0)),
            auth_req_id: pushed,
        };
        let token = self.keys.sign(alg, ID_TOKEN_TYP, &claims)?;
        Ok(Zeroizing::new(token))
    }
}

fn jti() -> String {
    use base64ct::Encoding as _;
    base64ct::Base64UrlUnpadded::encode_string(&random::<16>())
}

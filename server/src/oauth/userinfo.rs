//! The userinfo endpoint: what a client may know of the person who said yes (OpenID Connect Core §5.3, C-309).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use serde_json::Value;

use super::bearer::bearer;
use super::claims::claims;
use super::clients::Clients;
use super::discovery::USERINFO;
use super::grants::GrantId;
use super::issue::{ACCESS_TOKEN_TYP, Issuer};
use crate::cause::chain;
use crate::clock::now;
use crate::refusal::Refusal;
use crate::tls::Certificate;
use crate::users::Users;

const NO_TOKEN: Refusal = Refusal::token_missing("an access token is needed");
const BAD_TOKEN: Refusal = Refusal::invalid_token("the access token is not good here, or not any more");
const NO_OPENID: Refusal = Refusal::insufficient_scope();
const NOT_READ: Refusal = Refusal::unavailable("the grant cannot be read now");

/// What the endpoint needs.
pub(crate) struct UserInfo {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) users: Arc<Users>,
}

/// Returns the endpoint.
pub(crate) fn routes(on: Arc<UserInfo>) -> Router {
    let both = get(userinfo).post(userinfo);
    Router::new().route(USERINFO, both).with_state(on)
}

async fn userinfo(
    State(on): State<Arc<UserInfo>>,
    certificate: Option<Extension<Certificate>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let token = bearer(&headers).ok_or(NO_TOKEN)?;
    let certificate = certificate.as_ref().map(|shown| &shown.0);
    let presented = on.presented(token, certificate).ok_or(BAD_TOKEN)?;
    // Without its record a grant was taken back, and so were its tokens.
    let grant = on.issuer.grants.find(&presented.grant).await.map_err(unread)?;
    let grant = grant.ok_or(BAD_TOKEN)?;
    // C-054
    let client = on.clients.enabled(&grant.client_id).await.map_err(unread)?;
    if !client.is_some_and(|client| grant.is_of(&client)) {
        return Err(BAD_TOKEN);
    }
    let sub = grant.sub.ok_or(BAD_TOKEN)?;
    if !presented.scope.iter().any(|scope| scope == "openid") {
        return Err(NO_OPENID);
    }
    let user = on.users.get(&sub).await.map_err(unread)?;
    let user = user.filter(|user| !user.disabled).ok_or(BAD_TOKEN)?;
    let told = Json(claims(&user, &presented.scope));
    Ok(([(CACHE_CONTROL, "no-store")], told).into_response())
}

/// An access token of ours that has not expired.
struct Presented {
    grant: GrantId,
    /// What it was issued for, which may be less than what was granted.
    scope: Vec<String>,
}

impl UserInfo {
    /// Reads an access token for this server (RFC 9068 §4): one for another resource is not good here.
    fn presented(&self, token: &str, certificate: Option<&Certificate>) -> Option<Presented> {
        let claims = self.issuer.keys.verify(ACCESS_TOKEN_TYP, token)?;
        let name = self.issuer.name.as_str();
        let is_valid = claims.times().ok()?.expires? > now().seconds();
        let is_ours = claims.text("iss") == Some(name) && claims.is_for(&[name]);
        // C-081
        let is_bound_to =
            |cnf: &Value| certificate.is_some_and(|shown| cnf["x5t#S256"] == *shown.thumbprint());
        let is_shown = claims.get("cnf").is_none_or(is_bound_to);
        let scope = claims.text("scope").unwrap_or_default().split(' ');
        (is_valid && is_ours && is_shown).then_some(Presented {
            grant: claims.text("grant")?.into(),
            scope: scope.map(str::to_owned).collect(),
        })
    }
}

fn unread(error: impl std::error::Error + 'static) -> Refusal {
    tracing::error!(error = chain(&error), "what userinfo tells could not be read");
    NOT_READ
}

//! The userinfo endpoint: who is behind an access token (OpenID Connect Core §5.3).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use serde::Serialize;

use super::Provider;
use super::bearer::{self, Denied};
use super::config::DEFAULT_AUDIENCE;

/// What the provider says of a person.
#[derive(Serialize)]
pub(super) struct UserInfo {
    sub: &'static str,
    name: &'static str,
    email: &'static str,
    preferred_username: &'static str,
}

/// `GET /userinfo`, `POST /userinfo`. A token for another audience is refused.
pub(super) async fn userinfo(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
) -> Result<Json<UserInfo>, Denied> {
    let token = bearer::token(&headers).ok_or(Denied::NoToken)?;
    let (_, user, _) = provider
        .own_access_token(token)
        .filter(|(.., claims)| claims.aud == DEFAULT_AUDIENCE)
        .ok_or(Denied::InvalidToken)?;
    Ok(Json(UserInfo {
        sub: user.username,
        name: user.name,
        email: user.email,
        preferred_username: user.username,
    }))
}

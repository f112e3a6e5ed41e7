//! `POST /oauth2/register`: a client registers itself (RFC 7591, C-040, C-041). Its registration cannot be changed later
//! by itself (C-053).

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::bearer::bearer;
use super::client::SecretHash;
use super::clients::Clients;
use super::enrol::{enrol, new_id};
use super::offer::Offer;
use crate::cause::chain;
use crate::config::{OAuth, Registration};
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::throttle::{Network, Throttle};

/// Path of the endpoint.
pub(crate) const REGISTER: &str = "/oauth2/register";

const NOT_JSON: Refusal = Refusal::invalid_request("the body is not a JSON object of type application/json");
const TOO_LARGE: Refusal = Refusal::too_large("the body is too large");
const NO_TOKEN: Refusal = Refusal::token_missing("an initial access token is needed");
const WRONG_TOKEN: Refusal = Refusal::invalid_token("the initial access token is wrong");
const NOT_KEPT: Refusal = Refusal::unavailable("the client could not be kept");

/// Clients that register; a handle that is cheap to clone.
#[derive(Clone)]
pub(crate) struct Registrations(Arc<Inner>);

struct Inner {
    clients: Arc<Clients>,
    offer: Arc<Offer>,
    guard: Guard,
    /// `None`: not limited.
    throttle: Option<Throttle<Network>>,
}

/// Whom the endpoint lets in.
enum Guard {
    Closed,
    Open,
    Token(SecretHash),
}

impl Registrations {
    pub(crate) fn new(config: &OAuth, offer: Arc<Offer>, clients: Arc<Clients>) -> Self {
        let guard = match &config.registration {
            Registration::Off => Guard::Closed,
            Registration::Open => Guard::Open,
            Registration::Guarded(token) => Guard::Token(SecretHash::of(token)),
        };
        Self(Arc::new(Inner {
            clients,
            offer,
            guard,
            throttle: NonZeroU32::new(config.registrations_per_minute).map(Throttle::per_minute),
        }))
    }

    /// Forgets the addresses that have been quiet.
    pub(crate) fn forget_quiet(&self) {
        if let Some(throttle) = &self.0.throttle {
            throttle.forget_quiet();
        }
    }
}

/// Returns the endpoint, if there is one.
pub(crate) fn routes(registrations: Registrations) -> Router {
    match registrations.0.guard {
        Guard::Closed => Router::new(),
        Guard::Open | Guard::Token(_) => Router::new()
            .route(REGISTER, post(register))
            .with_state(registrations),
    }
}

async fn register(
    State(Registrations(own)): State<Registrations>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    if let Some(throttle) = &own.throttle {
        let too_many = |wait| Refusal::busy("too many clients registered from this address", wait);
        throttle.check(&peer.0.into()).map_err(too_many)?;
    }
    own.guard.admit(&headers)?;
    let enrolled = enrol(new_id(), object(&headers, body)?, &own.offer)?;
    own.clients.add(&enrolled.client).await.map_err(|cause| {
        tracing::error!(error = chain(&cause), "a client could not be kept");
        NOT_KEPT
    })?;
    tracing::info!(client = enrolled.client.id, "a client registered");
    let headers = [(CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, headers, Json(enrolled.response())).into_response())
}

impl Guard {
    fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Self::Token(token) = self else {
            return Ok(());
        };
        let sent = bearer(headers).ok_or(NO_TOKEN)?;
        if token.matches(sent) {
            Ok(())
        } else {
            Err(WRONG_TOKEN)
        }
    }
}

fn object(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Map<String, Value>, Refusal> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => TOO_LARGE,
        _ => NOT_JSON,
    })?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        return Err(NOT_JSON);
    }
    serde_json::from_slice(&body).map_err(|_| NOT_JSON)
}

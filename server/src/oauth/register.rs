//! `POST /oauth2/register`: a client registers itself (RFC 7591, C-040, C-041). Its registration cannot be changed later
//! by itself (C-053).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::bearer::bearer;
use super::client::{CLIENT_CREDENTIALS_GRANT, Client, SecretHash};
use super::clients::{Clients, ClientsError};
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
const NOT_FOR_ITSELF: Refusal = Refusal::invalid_client_metadata(
    "grant_types: client_credentials is for clients that the operator of this server adds",
);
const FULL: Refusal = Refusal::busy("this server takes no more clients", ASK_AGAIN);
const NOT_KEPT: Refusal = Refusal::unavailable("the client could not be kept");

/// When a client may ask again that found no room: an operator has to make some.
const ASK_AGAIN: Duration = Duration::from_secs(3600);

/// The scopes of a client that names none: who the person is, and nothing that belongs to the person.
const SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// Clients that register; a handle that is cheap to clone.
#[derive(Clone)]
pub(crate) struct Registrations(Arc<Inner>);

struct Inner {
    clients: Arc<Clients>,
    offer: Arc<Offer>,
    guard: Guard,
    /// Whether a client may act for itself.
    client_credentials: bool,
    /// Clients in the store; 0: not limited.
    limit: u64,
    /// Held by the client that is being kept.
    turn: Mutex<()>,
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
            client_credentials: config.registration_client_credentials,
            limit: config.registration_limit,
            turn: Mutex::default(),
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
    let mut enrolled = enrol(new_id(), object(&headers, body)?, &own.offer)?;
    own.confine(&mut enrolled.client)?;
    own.keep(&enrolled.client).await?;
    tracing::info!(client = enrolled.client.id, "a client registered");
    let headers = [(CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, headers, Json(enrolled.response())).into_response())
}

impl Inner {
    /// Gives a client no more than it names: no operator has looked at it.
    fn confine(&self, client: &mut Client) -> Result<(), Refusal> {
        if client.has_grant(CLIENT_CREDENTIALS_GRANT) && !self.client_credentials {
            return Err(NOT_FOR_ITSELF);
        }
        let own = || {
            let known = |scope: &&str| self.offer.scopes.iter().any(|known| known == scope);
            SCOPES.into_iter().filter(known).collect::<Vec<_>>().join(" ")
        };
        client.metadata.scope.get_or_insert_with(own);
        Ok(())
    }

    /// Keeps a client, if there is room. One comes after the other, so that no two get the last place.
    async fn keep(&self, client: &Client) -> Result<(), Refusal> {
        let _turn = self.turn.lock().await;
        if self.limit > 0 && self.clients.stored().await.map_err(|error| unkept(&error))? >= self.limit {
            tracing::warn!("a client could not register: there are as many as registration_limit allows");
            return Err(FULL);
        }
        self.clients.add(client).await.map_err(|error| unkept(&error))
    }
}

fn unkept(error: &ClientsError) -> Refusal {
    tracing::error!(error = chain(error), "a client could not be kept");
    NOT_KEPT
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

//! A device begins a session (D-001 … D-004): a pushed authorization request, answered with the page to open.

use std::net::IpAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use device_proto::challenge::SECRET_LEN;
use device_proto::{Challenge, RequestId, ResourceUrn, Verifier};
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;
use zeroize::Zeroizing;

use super::record::{Record, SessionError, Stage};
use super::user_code::user_code;
use crate::app::App;
use crate::clock::now;
use crate::http::Peer;
use crate::random::random;
use crate::token;

/// Characters of a device's or session's name.
const MAX_NAME: usize = 80;

/// What our daemon sends (D-002). The challenge itself never travels.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pushed {
    verifier: String,
    resource: Option<String>,
    device_name: Option<String>,
    session_name: Option<String>,
}

/// What the seed's clients send (D-001).
#[derive(Deserialize)]
pub(super) struct Legacy {
    challenge: String,
    resource: Option<String>,
}

/// What both are answered with (D-001, D-003).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Begun {
    request_id: RequestId,
    url: String,
    expires_in: u64,
    user_code: String,
}

/// Why a session did not begin.
#[derive(Debug, Error)]
pub(super) enum RouteError {
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error("the body is too large")]
    TooLarge,
    #[error("this server gives no tokens for that resource")]
    InvalidTarget,
    #[error("too many logins begun from this address")]
    TooMany(Duration),
    #[error("the session could not be kept")]
    Store(#[from] SessionError),
}

/// `POST /auth/par/authorize`
pub(super) async fn from_json(
    State(app): State<App>,
    peer: Peer,
    body: Result<Json<Pushed>, JsonRejection>,
) -> Result<Response, RouteError> {
    let Json(pushed) = body?;
    let verifier = pushed
        .verifier
        .parse()
        .map_err(|_| RouteError::InvalidRequest("the verifier is not 43 characters of base64url"))?;
    let names = [pushed.device_name, pushed.session_name].map(|name| name.map(checked_name).transpose());
    let [device_name, session_name] = names;
    let name = device_name?.or(session_name?);
    begin(&app, peer.address(), verifier, pushed.resource.as_deref(), name).await
}

/// `GET /auth/par/authorize?challenge=…`, kept for the seed's clients. The query never reaches a log.
pub(super) async fn from_query(
    State(app): State<App>,
    peer: Peer,
    query: Result<Query<Legacy>, QueryRejection>,
) -> Result<Response, RouteError> {
    let Query(legacy) = query.map_err(|_| RouteError::InvalidRequest("the query has no challenge"))?;
    let verifier = verifier_of(&Zeroizing::new(legacy.challenge))?;
    overwrite_stack();
    begin(&app, peer.address(), verifier, legacy.resource.as_deref(), None).await
}

fn verifier_of(challenge: &str) -> Result<Verifier, RouteError> {
    let mut bytes = Zeroizing::new([0; SECRET_LEN]);
    let challenge = Challenge::decode(challenge, &mut bytes)
        .map_err(|_| RouteError::InvalidRequest("the challenge is not 43 characters of base64url"))?;
    Ok(challenge.verifier())
}

/// What read the query has left pieces of it below; what comes next may not reach so far.
#[inline(never)]
fn overwrite_stack() {
    std::hint::black_box([0u8; 32 * 1024]);
}

async fn begin(
    app: &App,
    address: IpAddr,
    verifier: Verifier,
    resource: Option<&str>,
    device_name: Option<String>,
) -> Result<Response, RouteError> {
    app.devices.check(address).map_err(RouteError::TooMany)?;
    let resource: ResourceUrn = resource
        .map_or(Ok(ResourceUrn::default()), str::parse)
        .map_err(|_| RouteError::InvalidTarget)?;
    if token::target(&app.config.resources, &resource).is_none() {
        return Err(RouteError::InvalidTarget);
    }
    let (session, expires_in) = (
        RequestId::from_random(random()),
        app.config.limits.login_expires_in,
    );
    let record = Record {
        verifier,
        resource,
        device_name,
        address: address.to_canonical().to_string(),
        user_code: user_code(random()),
        created_at: now().seconds(),
        stage: Stage::Pending {
            login_ends: now().plus(expires_in).seconds(),
        },
    };
    app.sessions.begin(&session, &record, now()).await?;
    let url = format!("{}login/{session}", app.public_url);
    let begun = Begun {
        request_id: session,
        url,
        expires_in,
        user_code: record.user_code,
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(begun)).into_response())
}

fn checked_name(name: String) -> Result<String, RouteError> {
    let fits = name.chars().count() <= MAX_NAME && !name.contains(char::is_control);
    if fits {
        Ok(name)
    } else {
        Err(RouteError::InvalidRequest(
            "a name has at most 80 characters and no control characters",
        ))
    }
}

/// The parser's own words quote what was sent.
impl From<JsonRejection> for RouteError {
    fn from(rejection: JsonRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::TooLarge
        } else {
            Self::InvalidRequest("the body is not JSON with a verifier")
        }
    }
}

impl IntoResponse for RouteError {
    fn into_response(self) -> Response {
        let (status, code) = match &self {
            Self::InvalidRequest(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"),
            Self::InvalidTarget => (StatusCode::BAD_REQUEST, "invalid_target"),
            Self::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "slow_down"),
            Self::Store(cause) => {
                tracing::error!(error = %cause, "a session could not be kept");
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
            }
        };
        let mut headers = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-store"))]);
        if let Self::TooMany(wait) = &self {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        (
            status,
            headers,
            Json(json!({ "error": code, "error_description": self.to_string() })),
        )
            .into_response()
    }
}

//! A device begins a session (D-001 … D-004): a pushed authorization request, answered with the page to open.

use std::net::IpAddr;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use device_proto::challenge::SECRET_LEN;
use device_proto::{Challenge, RequestId, ResourceUrn, Verifier};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::record::{Record, Stage};
use super::sessions::Sessions;
use super::user_code::user_code;
use crate::cause::chain;
use crate::clock::now;
use crate::peer::Peer;
use crate::random::random;
use crate::refusal::Refusal;
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

const BAD_JSON: Refusal = Refusal::invalid_request("the body is not JSON with a verifier");
const TOO_LARGE: Refusal = Refusal::too_large("the body is too large");
const BAD_QUERY: Refusal = Refusal::invalid_request("the query has no challenge");
const BAD_VERIFIER: Refusal = Refusal::invalid_request("the verifier is not 43 characters of base64url");
const BAD_CHALLENGE: Refusal = Refusal::invalid_request("the challenge is not 43 characters of base64url");
const BAD_NAME: Refusal =
    Refusal::invalid_request("a name has at most 80 characters and no control characters");
const UNKNOWN_RESOURCE: Refusal = Refusal::invalid_target("this server gives no tokens for that resource");
const NOT_KEPT: Refusal = Refusal::unavailable("the session could not be kept");

/// `POST /auth/par/authorize`
pub(super) async fn from_json(
    State(sessions): State<Sessions>,
    Extension(peer): Extension<Peer>,
    body: Result<Json<Pushed>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(pushed) = body.map_err(|rejection| unreadable(&rejection))?;
    let verifier = pushed.verifier.parse().map_err(|_| BAD_VERIFIER)?;
    let names = [pushed.device_name, pushed.session_name].map(|name| name.map(checked_name).transpose());
    let [device_name, session_name] = names;
    let wish = Wish {
        verifier,
        resource: pushed.resource,
        device_name: device_name?.or(session_name?),
        address: peer.0,
    };
    begin(&sessions, wish).await
}

/// `GET /auth/par/authorize?challenge=…`, kept for the seed's clients. The query never reaches a log.
pub(super) async fn from_query(
    State(sessions): State<Sessions>,
    Extension(peer): Extension<Peer>,
    query: Result<Query<Legacy>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(legacy) = query.map_err(|_| BAD_QUERY)?;
    let verifier = verifier_of(&Zeroizing::new(legacy.challenge))?;
    overwrite_stack();
    let wish = Wish {
        verifier,
        resource: legacy.resource,
        device_name: None,
        address: peer.0,
    };
    begin(&sessions, wish).await
}

/// The parser's own words quote what was sent: they are not told.
fn unreadable(rejection: &JsonRejection) -> Refusal {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => TOO_LARGE,
        _ => BAD_JSON,
    }
}

fn verifier_of(challenge: &str) -> Result<Verifier, Refusal> {
    let mut bytes = Zeroizing::new([0; SECRET_LEN]);
    let challenge = Challenge::decode(challenge, &mut bytes).map_err(|_| BAD_CHALLENGE)?;
    Ok(challenge.verifier())
}

/// Overwrites the part of the stack where the query's parser left pieces of the challenge. Best effort; the memory tests
/// look for what is left.
#[inline(never)]
fn overwrite_stack() {
    std::hint::black_box([0u8; 32 * 1024]);
}

/// A session that is to begin.
struct Wish {
    verifier: Verifier,
    resource: Option<String>,
    device_name: Option<String>,
    address: IpAddr,
}

async fn begin(sessions: &Sessions, wish: Wish) -> Result<Response, Refusal> {
    let too_many = |wait| Refusal::too_many("too many logins begun from this address", wait);
    sessions.logins.check(&wish.address.into()).map_err(too_many)?;
    let resource = known(sessions, wish.resource.as_deref()).ok_or(UNKNOWN_RESOURCE)?;
    let (session, expires_in) = (RequestId::from_random(random()), sessions.login_expires_in);
    let record = Record {
        verifier: wish.verifier,
        resource,
        device_name: wish.device_name,
        address: wish.address.to_canonical().to_string(),
        user_code: user_code(random()),
        created_at: now().seconds(),
        stage: Stage::Pending {
            login_ends: now().plus(expires_in).seconds(),
        },
    };
    sessions.records.begin(&session, &record).await.map_err(|cause| {
        tracing::error!(error = chain(&cause), "a session could not be kept");
        NOT_KEPT
    })?;
    let begun = Begun {
        url: format!("{}login/{session}", sessions.public_url),
        request_id: session,
        expires_in,
        user_code: record.user_code,
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(begun)).into_response())
}

/// Returns the resource of the first token, if this server gives tokens for it.
fn known(sessions: &Sessions, resource: Option<&str>) -> Option<ResourceUrn> {
    let resource = resource.map_or(Ok(ResourceUrn::default()), str::parse).ok()?;
    token::target(&sessions.rules, &resource).map(|_| resource)
}

fn checked_name(name: String) -> Result<String, Refusal> {
    let fits = name.chars().count() <= MAX_NAME && !name.contains(char::is_control);
    if fits { Ok(name) } else { Err(BAD_NAME) }
}

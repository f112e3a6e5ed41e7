//! `GET /ciba/verify`, `POST /ciba/authorize` and `POST /ciba/reject`: what an approval page of the operator's own asks of
//! us (C-220 … C-231).

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use axum_extra::extract::cookie::CookieJar;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::decide::{Approver, Decision, No, Shown, Status};
use super::part::Part;
use super::provider::Ciba;
use crate::cause::chain;
use crate::clock::rfc3339;
use crate::peer::Peer;
use crate::refusal::Refusal;

const NO_ID: Refusal = Refusal::invalid_request("auth_req_id is missing");
const TOO_LARGE: Refusal = Refusal::too_large("the body is too large");
const FOREIGN_ORIGIN: Refusal =
    Refusal::access_denied("the request does not come from a page of this server");
const NOT_READ: Refusal = Refusal::unavailable("the browser's session cannot be read now");

#[derive(Deserialize)]
pub(super) struct Asked {
    auth_req_id: Option<String>,
}

/// The body of a decision.
#[derive(Deserialize)]
struct Decided {
    auth_req_id: Option<String>,
    #[serde(flatten)]
    part: Part,
}

#[derive(Serialize)]
struct Verified {
    auth_req_id: String,
    client_name: String,
    scope: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<String>,
    binding_message: Option<String>,
    authorization_details: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_claims: Option<Value>,
    status: &'static str,
    expires_at: String,
}

/// `GET /ciba/verify`: the id is the secret, so it needs no session.
pub(super) async fn verify(
    State(ciba): State<Ciba>,
    Extension(peer): Extension<Peer>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refusal> {
    if let Some(Err(wait)) = ciba.looks.as_ref().map(|looks| looks.check(&peer.0.into())) {
        return Err(Refusal::busy("too many looks from this address", wait));
    }
    let id = asked.ok().and_then(|Query(asked)| asked.auth_req_id);
    let id = id.filter(|id| !id.is_empty()).ok_or(NO_ID)?;
    let Shown { question, status, .. } = ciba.shown(&id).await.map_err(refusal)?;
    let verified = Verified {
        auth_req_id: id,
        client_name: question.client_name,
        scope: question.scope.join(" "),
        resources: question.resources,
        binding_message: question.binding_message,
        authorization_details: question.authorization_details,
        agent_claims: question.agent_claims,
        status: match status {
            Status::Pending => "pending",
            Status::Approved => "approved",
            Status::Rejected => "rejected",
        },
        expires_at: rfc3339(question.expires_at),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(verified)).into_response())
}

/// `POST /ciba/authorize`
pub(super) async fn authorize(
    State(ciba): State<Ciba>,
    jar: CookieJar,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    decide(&ciba, &jar, &headers, body, Decision::Approve).await
}

/// `POST /ciba/reject`
pub(super) async fn reject(
    State(ciba): State<Ciba>,
    jar: CookieJar,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    decide(&ciba, &jar, &headers, body, Decision::Reject).await
}

async fn decide(
    ciba: &Ciba,
    jar: &CookieJar,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    decision: Decision,
) -> Result<Response, Refusal> {
    let body = body.map_err(|_| TOO_LARGE)?;
    if !is_from_here(ciba, headers) {
        return Err(FOREIGN_ORIGIN);
    }
    let session = ciba.browsers.of(jar).await.map_err(|error| {
        tracing::error!(error = chain(&error), "a browser's session could not be read");
        NOT_READ
    })?;
    let person = session.ok_or(Refusal::login_required())?.person;
    let decided: Decided = serde_json::from_slice(&body).map_err(|_| NO_ID)?;
    let id = decided.auth_req_id.filter(|id| !id.is_empty()).ok_or(NO_ID)?;
    let approver = Approver::from(person);
    ciba.decide(&id, &approver, decision, &decided.part)
        .await
        .map_err(refusal)?;
    let done = Json(json!({ "success": true }));
    Ok((StatusCode::OK, [(CACHE_CONTROL, "no-store")], done).into_response())
}

/// C-231: a page of another site can send neither JSON nor our origin.
fn is_from_here(ciba: &Ciba, headers: &HeaderMap) -> bool {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let essence = text(CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    let own = ciba.public_url.origin().ascii_serialization();
    essence.eq_ignore_ascii_case("application/json") && text(ORIGIN) == own
}

/// Returns how a no is answered (C-221 … C-229).
pub(super) fn refusal(no: No) -> Refusal {
    const UNKNOWN: Refusal = Refusal::not_found("there is no such request");
    const EXPIRED: Refusal = Refusal::expired_token("the request has expired");
    const CLIENT_GONE: Refusal = Refusal::invalid_request("the client of the request is gone");
    const PERSON_GONE: Refusal = Refusal::access_denied("the user of the request is gone");
    const FOREIGN: Refusal = Refusal::access_denied("the request is for another person");
    const DECIDED: Refusal = Refusal::invalid_request("the request was decided before");
    const UNAVAILABLE: Refusal = Refusal::unavailable("the request cannot be read or changed now");
    const NOT_ITS_SCOPE: Refusal = Refusal::invalid_scope("a scope is not among those of the request");
    const NOT_ITS_DETAILS: Refusal =
        Refusal::invalid_authorization_details("authorization_details are not among those of the request");
    match no {
        No::NotItsScope => NOT_ITS_SCOPE,
        No::NotItsDetails => NOT_ITS_DETAILS,
        No::Unknown => UNKNOWN,
        No::Expired => EXPIRED,
        No::ClientGone => CLIENT_GONE,
        No::PersonGone => PERSON_GONE,
        No::Foreign => FOREIGN,
        No::Decided => DECIDED,
        No::NeedsFreshLogin => Refusal::login_required(),
        No::Unavailable => UNAVAILABLE,
    }
}

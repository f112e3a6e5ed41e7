//! The approval hook of automated tests (C-235): off unless the configuration has its secret, and on loopback alone. It
//! has the shape that the conformance suite asks for.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;

use super::decide::Decision;
use super::provider::Ciba;
use super::verify::refusal;
use crate::refusal::Refusal;

#[derive(Deserialize)]
pub(super) struct Asked {
    auth_req_id: String,
    action: String,
}

const BAD_ACTION: Refusal = Refusal::invalid_request("action is neither allow nor deny");
const INCOMPLETE: Refusal = Refusal::invalid_request("auth_req_id and action are needed");
const UNKNOWN: Refusal = Refusal::not_found("there is no such hook");

/// `POST /ciba/test-hook/{secret}?auth_req_id=…&action=allow`
pub(super) async fn hook(
    State(ciba): State<Ciba>,
    Path(secret): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<StatusCode, Refusal> {
    let own = ciba.config.test_hook_secret.as_ref();
    let is_right = own.is_some_and(|own| own.as_bytes().ct_eq(secret.as_bytes()).into());
    if !is_right {
        return Err(UNKNOWN);
    }
    let Query(asked) = asked.map_err(|_| INCOMPLETE)?;
    let decision = match asked.action.as_str() {
        "allow" => Decision::Approve,
        "deny" => Decision::Reject,
        _ => return Err(BAD_ACTION),
    };
    let decided = ciba.decide_in_test(&asked.auth_req_id, decision).await;
    decided.map(|()| StatusCode::NO_CONTENT).map_err(refusal)
}

//! A device session: born at `authorize`, alive on its `socket`, ended by its device, its person or its clock.

mod answer;
mod approvals;
mod approver;
mod audience;
mod authorize;
mod challenge;
mod edit;
mod entries;
mod feed;
mod grant;
mod limits;
mod publish;
mod record;
mod records;
mod registry;
mod renew;
mod renewed;
mod room;
mod sessions;
mod shown;
mod sign_in;
mod single_flight;
mod socket;
mod user_code;

use axum::Router;
use axum::routing::{any, get};

pub(crate) use approver::{Approver, SignedIn, Undecided};
pub(crate) use sessions::Sessions;
pub(crate) use sign_in::{NotWaiting, Outcome, Return, Waiting};

/// Returns the device's routes.
pub(crate) fn routes(sessions: Sessions) -> Router {
    Router::new()
        .route(
            "/auth/par/authorize",
            get(authorize::from_query).post(authorize::from_json),
        )
        .route("/sync/device", any(socket::upgrade))
        .with_state(sessions)
}

//! A device session: born at `authorize`, alive on its `socket`, ended by its device, its person or its clock.

mod answer;
mod authorize;
mod edit;
mod grant;
mod publish;
mod record;
mod registry;
mod renew;
mod socket;
mod throttle;
mod turn;
mod user_code;

use axum::Router;
use axum::routing::{any, get};

use crate::app::App;

pub(crate) use answer::revoke;
pub(crate) use publish::{PublishError, fail, publish};
pub(crate) use record::{Record, Sessions, Stage};
pub(crate) use registry::Registry;
pub(crate) use throttle::Throttle;

/// Returns the device's routes.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route(
            "/auth/par/authorize",
            get(authorize::from_query).post(authorize::from_json),
        )
        .route("/sync/device", any(socket::upgrade))
}

//! The person signs in at the identity provider: out by way of the confirm page, back by way of the callback.

mod attempt;
mod browser;
mod callback;
mod confirm;
mod logins;
mod page;

use axum::Router;
use axum::routing::get;

pub(crate) use logins::Logins;

/// Returns the routes a browser sees.
pub(crate) fn routes(logins: Logins) -> Router {
    Router::new()
        .route("/login/{session}", get(confirm::show))
        .route("/login/{session}/continue", get(confirm::proceed))
        .route("/auth/callback", get(callback::callback))
        .with_state(logins)
}

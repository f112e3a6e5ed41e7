//! The person signs in at the identity provider: out by way of the confirm page, back by way of the callback.

mod attempt;
mod callback;
mod confirm;
mod page;

use axum::Router;
use axum::routing::get;

use crate::app::App;

/// Returns the routes a browser sees.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/login/{session}", get(confirm::show))
        .route("/login/{session}/continue", get(confirm::proceed))
        .route("/auth/callback", get(callback::callback))
}

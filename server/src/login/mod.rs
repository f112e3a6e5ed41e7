//! The person signs in at the identity provider, to a device (out by way of the confirm page) or to a browser session (out
//! from a page of ours); back by way of the callback.

mod attempt;
mod browser;
mod callback;
mod confirm;
mod departure;
mod ended;
mod logins;
mod page;
mod people;
mod proved;
mod reason;
mod sign_in;
mod sign_out;

use axum::Router;
use axum::routing::{get, post};

pub(crate) use logins::Logins;
pub(crate) use people::People;

/// Returns the routes a browser sees.
pub(crate) fn routes(logins: Logins) -> Router {
    let of_people = match logins.people {
        Some(_) => Router::new()
            .route("/login", get(sign_in::begin))
            .route("/ciba/sign-out", post(sign_out::sign_out)),
        None => Router::new(),
    };
    of_people
        .route("/login/{session}", get(confirm::show))
        .route("/login/{session}/continue", get(confirm::proceed))
        .route("/auth/callback", get(callback::callback))
        .with_state(logins)
}

//! Backchannel authentication (CIBA Core 1.0): a client asks, a person decides, the client gets its tokens. A request walks
//! through `authenticate` → `decide` → `grant`; in between `request` says what may happen to it, and `requests` keeps it.

mod asked;
mod authenticate;
mod decide;
pub(crate) mod deliver;
mod details;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod grant;
mod hint;
mod hook;
mod name;
pub(crate) mod notify;
mod open;
mod pace;
mod page;
mod part;
mod pending;
mod places;
mod provider;
mod question;
mod request;
mod requests;
mod signed;
mod terminal;
mod told;
mod user_code;
mod verify;

use axum::Router;
use axum::routing::{get, post};

pub(crate) use self::decide::{Approver, Decision, No};
pub(crate) use self::name::Name;
pub(crate) use self::pending::{Pending, Terminals};
pub(crate) use self::provider::{Ciba, Ground};
use crate::local::for_this_machine;
use crate::oauth::discovery::BC_AUTHORIZE;

/// Returns what clients ask.
pub(crate) fn client_routes(ciba: Ciba) -> Router {
    Router::new()
        .route(BC_AUTHORIZE, post(authenticate::authenticate))
        .with_state(ciba)
}

/// Returns what clients and approval pages ask.
pub(crate) fn routes(ciba: Ciba) -> Router {
    let routes = Router::new()
        .route("/ciba/verify", get(verify::verify))
        .route("/ciba/authorize", post(verify::authorize))
        .route("/ciba/reject", post(verify::reject))
        .route(&ciba.config.approval_page, get(page::show).post(page::answer));
    let routes = routes.with_state(ciba.clone()).merge(client_routes(ciba.clone()));
    match ciba.has_test_hook() {
        true => {
            let hook = Router::new().route("/ciba/test-hook/{secret}", post(hook::hook));
            routes.merge(for_this_machine(hook.with_state(ciba)))
        }
        false => routes,
    }
}

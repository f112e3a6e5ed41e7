//! The built-in identity provider of `ciba-server dev`: a small, real OpenID provider for loopback, with throw-away state.
//!
//! It stands where a company's own provider stands in production and knows nothing of the rest of the server. Start
//! reading at [`Provider::routes`]; a login walks through `authorize` → `login` → `code_grant`.

mod authorize;
mod bearer;
mod client;
mod clock;
mod code_grant;
mod config;
pub mod demo_api;
mod discovery;
mod exchange_grant;
mod expiring;
mod issue;
mod jwt;
mod keys;
mod login;
mod message;
mod pages;
mod pkce;
mod refresh_grant;
mod revoke;
mod scope;
mod secret;
mod state;
mod targets;
mod token;
mod userinfo;
mod users;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use tower::ServiceBuilder;
use tower_http::set_header::SetResponseHeaderLayer;

pub use clock::Clock;
pub use config::{Config, RefreshTokens};
pub use targets::Targets;

/// Longest form a caller may send, in bytes.
pub const FORM_MAX_BYTES: usize = 64 * 1024;

/// Why a provider could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The issuer is not an `http` or `https` URL, or carries a query or a fragment (OpenID Connect Discovery §3).
    #[error("the issuer must be an http(s) URL without query and fragment")]
    Issuer,
    /// The operating system gave no usable signing key.
    #[error("no signing key could be generated")]
    Key,
}

/// An OpenID provider with one client, two users and a signing key of its own; everything is gone when it is dropped.
pub struct Provider {
    config: Config,
    keys: keys::Keys,
    state: Mutex<state::State>,
}

/// Makes a provider with a fresh signing key.
pub fn provider(config: Config) -> Result<Provider, Error> {
    let issuer = &config.issuer;
    let plain = issuer.query().is_none() && issuer.fragment().is_none();
    if !plain || !matches!(issuer.scheme(), "http" | "https") {
        return Err(Error::Issuer);
    }
    Ok(Provider {
        keys: keys::Keys::generate()?,
        config,
        state: Mutex::default(),
    })
}

impl Provider {
    /// Returns the routes, to be nested at the path of the issuer (or merged, where the issuer has no path).
    pub fn routes(self) -> Router {
        // The signing key dies with the process, so not even discovery and JWKS may be cached.
        let headers = ServiceBuilder::new()
            .layer(always(CACHE_CONTROL, "no-store"))
            .layer(always(REFERRER_POLICY, "no-referrer"))
            .layer(always(X_CONTENT_TYPE_OPTIONS, "nosniff"));
        Router::new()
            .route("/.well-known/openid-configuration", get(discovery::metadata))
            .route("/jwks", get(discovery::jwks))
            .route("/authorize", get(authorize::authorize).post(authorize::authorize))
            .route("/login", post(login::login))
            .route("/token", post(token::token))
            .route("/revoke", post(revoke::revoke))
            .route("/userinfo", get(userinfo::userinfo).post(userinfo::userinfo))
            .layer(DefaultBodyLimit::max(FORM_MAX_BYTES))
            .layer(headers)
            .with_state(Arc::new(self))
    }

    /// The state, locked. Its holder never awaits; and as every change is one insertion or removal, a panic
    /// elsewhere leaves nothing half done.
    fn state(&self) -> MutexGuard<'_, state::State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        self.config.clock.now()
    }
}

fn always(name: http::HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}

//! The demo API: a resource server that knows of the provider only its issuer and its JWKS, as a real one would.
//!
//! It sees no revocation: a JWT is good here until it expires, which is why access tokens are short-lived.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use http::HeaderMap;
use jsonwebtoken::jwk::JwkSet;
use serde::Serialize;
use url::Url;

use super::bearer::{self, Denied};
use super::clock::Clock;
use super::jwt::{self, AccessClaims, Rejected};
use super::targets::Targets;

/// Shortest time between two fetches of the key set, seconds: a stranger can invent unknown keys at no cost.
const REFETCH_AFTER: u64 = 10;

/// Longest wait for the key set.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// What the demo API trusts.
pub struct DemoApi {
    /// The only issuer whose tokens are taken, as it stands in `iss`.
    pub issuer: String,
    /// Where the issuer's public keys are.
    pub jwks_uri: Url,
    /// The audiences it answers for.
    pub audiences: Targets,
    /// Fetches the key set.
    pub http: reqwest::Client,
    /// The time.
    pub clock: Clock,
}

/// Returns the API: `GET /whoami` says what the bearer token says.
pub fn demo_api(config: DemoApi) -> Router {
    let service = Service {
        config,
        keys: Mutex::default(),
        fetched: tokio::sync::Mutex::default(),
    };
    Router::new()
        .route("/whoami", get(whoami))
        .with_state(Arc::new(service))
}

struct Service {
    config: DemoApi,
    keys: Mutex<Arc<JwkSet>>,
    /// When the key set was last asked for. Held while it is fetched: another request that needs it waits.
    fetched: tokio::sync::Mutex<Option<u64>>,
}

#[derive(Serialize)]
struct WhoAmI {
    sub: String,
    aud: String,
    exp: u64,
    scope: String,
}

async fn whoami(State(service): State<Arc<Service>>, headers: HeaderMap) -> Result<Json<WhoAmI>, Denied> {
    let token = bearer::token(&headers).ok_or(Denied::NoToken)?;
    let AccessClaims {
        sub, aud, exp, scope, ..
    } = service.check(token).await.ok_or(Denied::InvalidToken)?;
    Ok(Json(WhoAmI { sub, aud, exp, scope }))
}

impl Service {
    /// Returns the claims of a token that is meant for this API.
    async fn check(&self, token: &str) -> Option<AccessClaims> {
        let claims = match self.verify(token) {
            Err(Rejected::UnknownKey) => {
                self.fetch_keys().await;
                self.verify(token)
            }
            verified => verified,
        };
        claims
            .ok()
            .filter(|claims| self.config.audiences.knows(&claims.aud))
    }

    fn verify(&self, token: &str) -> Result<AccessClaims, Rejected> {
        let keys = Arc::clone(&self.keys());
        jwt::verify(token, &keys, &self.config.issuer, self.config.clock.now())
    }

    /// Replaces the key set, unless that was tried a moment ago. A failure leaves the old one.
    async fn fetch_keys(&self) {
        let mut fetched = self.fetched.lock().await;
        let now = self.config.clock.now();
        if fetched.is_some_and(|last| now < last + REFETCH_AFTER) {
            return;
        }
        *fetched = Some(now);
        let request = self
            .config
            .http
            .get(self.config.jwks_uri.clone())
            .timeout(FETCH_TIMEOUT)
            .send();
        if let Ok(response) = request.await
            && let Ok(keys) = response.json().await
        {
            *self.keys() = Arc::new(keys);
        }
    }

    fn keys(&self) -> MutexGuard<'_, Arc<JwkSet>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

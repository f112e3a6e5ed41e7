//! Gets a client its token from one session: from memory when that will do, else from the server.

use std::sync::Arc;
use std::time::Duration;

use device_proto::ResourceUrn;
use ipc_proto::{ErrorCode, Failure};
use tokio::time::timeout;

use super::TokenAsk;
use super::choice::{Choice, choose};
use super::refusal::{check_active, with_hint};
use crate::session::{Handle, now, slow};
use crate::table::Token;

/// How long the server may take for a better token while one is held that has only seconds left. A network that
/// swallows everything looks alive for a minute.
pub(super) const FALLBACK_AFTER: Duration = Duration::from_secs(2);

/// Returns a token that is valid for as long as was asked, if the provider gives such long ones.
pub(super) async fn supply(session: &Handle, ask: &TokenAsk) -> Result<Arc<Token>, Failure> {
    let (resource, now) = (&ask.resource, now());
    match choose(session.held(resource, now), ask, now) {
        Choice::Held(token) => Ok(token),
        Choice::HeldAndRenew(token) => {
            if check_active(session).is_ok() {
                session.fetch_soon(resource.clone(), token.expires_at);
            }
            Ok(token)
        }
        Choice::Fetch(beyond) => fetch(session, resource, beyond).await,
        Choice::FetchOrHeld(beyond) => fetch_or_held(session, resource, beyond).await,
    }
}

async fn fetch(session: &Handle, resource: &ResourceUrn, beyond: u64) -> Result<Arc<Token>, Failure> {
    check_active(session)?;
    let fetched = session.fetch(resource.clone(), beyond).await;
    fetched.map_err(|failure| with_hint(failure, session))?;
    let sent = session.held(resource, now());
    sent.ok_or_else(|| Failure::new(ErrorCode::Internal, "the server sent no valid token"))
}

async fn fetch_or_held(session: &Handle, resource: &ResourceUrn, beyond: u64) -> Result<Arc<Token>, Failure> {
    let fetch = fetch(session, resource, beyond);
    let fetched = match session.held(resource, now()) {
        Some(_) => timeout(FALLBACK_AFTER, fetch)
            .await
            .unwrap_or_else(|_| Err(slow())),
        None => fetch.await,
    };
    fetched.or_else(|failure| session.held(resource, now()).ok_or(failure))
}

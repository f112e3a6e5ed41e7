//! Requirement tests of the server: the real program, driven over HTTP and WebSocket from outside.
//!
//! `server` starts it, `browser` and `device` are the two who talk to it, `idp` is an identity provider that can
//! misbehave. Each other module has the tests of one part of the protocol, by requirement number.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod browser;
mod device;
mod idp;
mod server;

mod authorize;
mod dump;
mod exchange;
mod grant;
mod ground;
mod login;
mod memory;
mod proof;
mod provider;
mod publish;
mod renew;
mod store_guard;
mod thousand;

use std::time::Duration;

/// How long anything that is to happen may take, even on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what has to happen.
async fn in_time<T>(happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happens)
        .await
        .expect("it happens in time")
}

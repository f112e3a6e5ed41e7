//! What every test of the server stands on: the program, those who talk to it, and the identity provider behind it.

pub(crate) mod browser;
pub(crate) mod device;
pub(crate) mod idp;
pub(crate) mod server;

use std::time::Duration;

/// How long anything that is to happen may take, even on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what has to happen.
pub(crate) async fn in_time<T>(happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happens)
        .await
        .expect("it happens in time")
}

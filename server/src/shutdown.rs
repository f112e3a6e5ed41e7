//! The end of the server: the first signal asks it to finish what has begun, the second to leave at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How far the end has come; a handle that is cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Shutdown {
    begun: CancellationToken,
    forced: CancellationToken,
}

impl Shutdown {
    /// Returns a shutdown that SIGTERM and SIGINT begin and, sent once more, force.
    pub(crate) fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::default();
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let told = shutdown.clone();
        tokio::spawn(async move {
            for step in [told.begun, told.forced] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                tracing::info!("leaving");
                step.cancel();
            }
        });
        Ok(shutdown)
    }

    /// Cancelled when the server takes nothing new.
    pub(crate) fn begun(&self) -> &CancellationToken {
        &self.begun
    }

    /// Cancelled when the server waits for nothing any more.
    pub(crate) fn forced(&self) -> &CancellationToken {
        &self.forced
    }
}

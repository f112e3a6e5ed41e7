//! How the daemon ends: the first signal, `shutdown` or the last session's `stop` asks everybody to finish, a
//! second signal waits for nobody. Ending is a value that is passed on; nothing exits from the depth.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A handle to the end of the process; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Shutdown {
    /// Asks everybody to finish.
    pub(crate) fn begin(&self) {
        self.soft.cancel();
    }

    /// Waits until somebody has asked.
    pub(crate) async fn begun(&self) {
        self.soft.cancelled().await;
    }

    /// Waits until finishing properly is no longer wanted.
    pub(crate) async fn forced(&self) {
        self.hard.cancelled().await;
    }

    /// Goes one step: from running to finishing, from finishing to the end.
    fn escalate(&self) {
        if self.soft.is_cancelled() {
            self.hard.cancel();
        }
        self.soft.cancel();
    }
}

/// The signals the daemon listens to.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals over from their default, which is to end without wiping anything.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Hands each signal on, for ever. A hangup means nothing here: there is no configuration to read again.
    pub(crate) async fn relay(mut self, shutdown: Shutdown) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => shutdown.escalate(),
                _ = self.interrupt.recv() => shutdown.escalate(),
                _ = self.hangup.recv() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_second_signal_waits_for_nobody() {
        let shutdown = Shutdown::default();
        assert!(shutdown.begun().now_or_never().is_none());
        shutdown.escalate();
        assert!(shutdown.begun().now_or_never().is_some());
        assert!(shutdown.forced().now_or_never().is_none());
        shutdown.escalate();
        assert!(shutdown.forced().now_or_never().is_some());
    }
}

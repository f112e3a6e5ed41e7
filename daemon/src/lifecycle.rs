//! How the daemon ends: the first signal, `shutdown` or the last session's `stop` asks everybody to finish, a
//! second signal waits for nobody. Ending is a value that is passed on; nothing exits from the depth. A hangup
//! is no end: it means to look again at what is on disk, the configuration or another program.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// A handle to the end of the process; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
    handing_over: Arc<Notify>,
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

    /// Asks for the program that is installed now to go on in this process. It may turn out that it cannot.
    pub(crate) fn hand_over(&self) {
        self.handing_over.notify_one();
    }

    /// Waits until somebody asks for another program. For one waiter.
    pub(crate) async fn hand_over_asked(&self) {
        self.handing_over.notified().await;
    }

    /// Goes one step: from running to finishing, from finishing to the end.
    fn escalate(&self) {
        if self.soft.is_cancelled() {
            self.hard.cancel();
        }
        self.soft.cancel();
    }
}

/// Tells when the configuration is to be read again; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Reload(watch::Sender<()>);

impl Reload {
    /// Returns what changes at each reload from now on.
    #[cfg_attr(not(test), expect(dead_code, reason = "nothing reads a configuration yet"))]
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }

    /// Asks for it.
    pub(crate) fn announce(&self) {
        self.0.send_replace(());
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

    /// Hands each signal on, for ever; what a hangup means, `look_again` knows.
    pub(crate) async fn relay(mut self, shutdown: &Shutdown, look_again: impl Fn()) -> Infallible {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => shutdown.escalate(),
                _ = self.interrupt.recv() => shutdown.escalate(),
                _ = self.hangup.recv() => look_again(),
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

    #[test]
    fn a_hand_over_is_no_end_and_may_be_asked_for_again() {
        let shutdown = Shutdown::default();
        for _ in 0..2 {
            assert!(shutdown.hand_over_asked().now_or_never().is_none());
            shutdown.hand_over();
            assert!(shutdown.hand_over_asked().now_or_never().is_some());
        }
        assert!(shutdown.begun().now_or_never().is_none());
    }

    #[test]
    fn every_subscriber_hears_of_a_reload() {
        let reload = Reload::default();
        reload.announce();
        let mut subscribers = [reload.subscribe(), reload.subscribe()];
        for subscriber in &mut subscribers {
            assert!(subscriber.changed().now_or_never().is_none(), "that was before");
        }
        reload.announce();
        for mut subscriber in subscribers {
            assert!(subscriber.changed().now_or_never().is_some());
        }
    }
}

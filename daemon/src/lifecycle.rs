//! How the daemon ends: the first signal, `shutdown` or the last session's `stop` asks everybody to finish, a
//! second signal waits for nobody. Ending is a value that is passed on; nothing exits from the depth. A hangup
//! is no end: it means to look again at what is on disk, the configuration or another program.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::handover::HandOverError;

/// A handle to the end of the process; cheap to clone.
#[derive(Clone)]
pub(crate) struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
    asks: mpsc::Sender<HandOverAsk>,
    asked: Arc<Mutex<mpsc::Receiver<HandOverAsk>>>,
}

/// A client or a signal asks for the program that is installed now. A client waits for the answer.
pub(crate) struct HandOverAsk(oneshot::Sender<Result<(), HandOverError>>);

impl HandOverAsk {
    /// Says that it begins, or why it does not.
    pub(crate) fn answer(self, answer: Result<(), HandOverError>) {
        // A signal does not wait for one.
        let _ = self.0.send(answer);
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        // Two at once want the same thing: the second waits until the first has its answer.
        let (asks, asked) = mpsc::channel(1);
        Self {
            soft: CancellationToken::new(),
            hard: CancellationToken::new(),
            asks,
            asked: Arc::new(Mutex::new(asked)),
        }
    }
}

impl Shutdown {
    /// Asks every connection and session to finish.
    pub(crate) fn begin(&self) {
        self.soft.cancel();
    }

    /// Waits until that was asked.
    pub(crate) async fn begun(&self) {
        self.soft.cancelled().await;
    }

    /// Waits until finishing properly is no longer wanted.
    pub(crate) async fn forced(&self) {
        self.hard.cancelled().await;
    }

    /// Asks for the program that is installed now to go on in this process, and returns when that begins.
    ///
    /// # Errors
    ///
    /// Why this program goes on.
    pub(crate) async fn hand_over(&self) -> Result<(), HandOverError> {
        let (ask, answer) = oneshot::channel();
        // Only a daemon that leaves takes no more of them.
        let _ = self.asks.send(HandOverAsk(ask)).await;
        answer.await.unwrap_or(Err(HandOverError::Leaving))
    }

    /// As [`Shutdown::hand_over`], without waiting. Nothing happens when that was asked already.
    pub(crate) fn hand_over_soon(&self) {
        let _ = self.asks.try_send(HandOverAsk(oneshot::channel().0));
    }

    /// Waits until another program is asked for.
    pub(crate) async fn hand_over_asked(&self) -> HandOverAsk {
        let asked = self.asked.lock().await.recv().await;
        asked.expect("this handle is one of the senders")
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

    #[tokio::test]
    async fn a_hand_over_is_no_end_and_who_asks_hears_why_not() {
        let shutdown = Shutdown::default();
        for answer in [Err(HandOverError::Login), Ok(())] {
            let expected = format!("{answer:?}");
            let (heard, ()) = tokio::join!(shutdown.hand_over(), async {
                shutdown.hand_over_asked().await.answer(answer);
            });
            assert_eq!(format!("{heard:?}"), expected);
        }
        shutdown.hand_over_soon();
        shutdown.hand_over_soon();
        shutdown.hand_over_asked().await.answer(Ok(()));
        assert!(
            shutdown.hand_over_asked().now_or_never().is_none(),
            "twice is once"
        );
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

//! The daemon's side of the local socket (wire 1): which connections are accepted, what a line means, how it is answered. The
//! last step of a token inside the daemon.

mod accept;
mod approvals;
mod call;
mod caller;
mod credential;
mod dispatch;
mod hangup;
mod reply;
mod request;
mod serve;
mod starts;
#[cfg(test)]
mod tests;

pub(crate) use accept::accept;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::starts::Starts;
use crate::agent::Agent;
use crate::audit::Audit;
use crate::config::Settings;
use crate::confirm::Confirm;
#[cfg(test)]
use crate::keychain::Keychains;
use crate::lifecycle::Shutdown;

/// What a request acts on; cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) agent: Agent,
    pub(crate) shutdown: Shutdown,
    pub(crate) settings: Settings,
    pub(crate) audit: Audit,
    confirm: Confirm,
    starts: Arc<Mutex<Starts>>,
    /// Where the daemon's log goes, for people.
    pub(crate) log_place: Option<Arc<str>>,
}

impl Context {
    /// Returns the context of a daemon that has answered nothing yet.
    pub(crate) fn new(
        agent: Agent,
        shutdown: Shutdown,
        settings: Settings,
        audit: Audit,
        log_place: Option<Arc<str>>,
    ) -> Self {
        Self {
            agent,
            shutdown,
            settings,
            audit,
            confirm: Confirm::default(),
            starts: Arc::default(),
            log_place,
        }
    }

    fn starts(&self) -> MutexGuard<'_, Starts> {
        // A list of whole entries is whole after any panic.
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Context {
    /// Returns a context without any login.
    fn empty() -> Self {
        let (shutdown, settings) = (Shutdown::default(), Settings::of_nobody());
        let agent = Agent::new(shutdown.clone(), Keychains::new([]), settings.clone());
        Self::new(agent, shutdown, settings, Audit::start(None), None)
    }
}

//! The daemon's side of the local socket (wire 1): which connections are accepted, what a line means, how it is answered. The
//! last step of a token inside the daemon.

mod accept;
mod dispatch;
mod hangup;
mod reply;
mod serve;

pub(crate) use accept::accept;

use std::sync::Arc;

use crate::agent::Agent;
#[cfg(test)]
use crate::config::Settings;
#[cfg(test)]
use crate::keychain::Keychains;
use crate::lifecycle::Shutdown;

/// What a request acts on; cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) agent: Agent,
    pub(crate) shutdown: Shutdown,
    /// Where the daemon's log goes, for people.
    pub(crate) log_place: Option<Arc<str>>,
}

#[cfg(test)]
impl Context {
    /// Returns a context without any login.
    fn empty() -> Self {
        let shutdown = Shutdown::default();
        Self {
            agent: Agent::new(shutdown.clone(), Keychains::new([]), Settings::of_nobody()),
            shutdown,
            log_place: None,
        }
    }
}

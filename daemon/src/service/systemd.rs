//! systemd: socket activation (sd_listen_fds(3)) and notification (sd_notify(3)).

use std::convert::Infallible;
use std::env;
use std::future::pending;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;

use listenfd::ListenFd;
use rustix::fs::fstat;
use sd_notify::NotifyState;
use tokio::time::sleep;
use tracing::warn;

use super::SOCKET;

/// Returns the socket that systemd listens on for us; `None` when it does not. Takes it out of the
/// environment: call it once, before there is another thread.
pub(crate) fn socket() -> io::Result<Option<UnixListener>> {
    let names = env::var("LISTEN_FDNAMES").ok();
    let mut given = ListenFd::from_env();
    if given.len() == 0 {
        return Ok(None);
    }
    let place = position(names.as_deref()).ok_or(io::ErrorKind::NotFound)?;
    given.take_unix_listener(place)
}

/// Which of the descriptors is ours. Without names there is only one.
fn position(names: Option<&str>) -> Option<usize> {
    match names {
        Some(names) => names.split(':').position(|name| name == SOCKET),
        None => Some(0),
    }
}

/// Says that clients are served at `socket`.
pub(crate) fn serving(socket: &Path) {
    let status = format!(
        "cibad {} serves at {}",
        env!("CARGO_PKG_VERSION"),
        socket.display()
    );
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Says that the configuration is read again, or that another program takes over; [`reloaded`] or [`serving`] ends
/// it.
pub(crate) fn reloading() {
    // A clock that cannot be read fails every other thing first.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// Says that clients are served as before.
pub(crate) fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// Says that the end has begun.
pub(crate) fn leaving() {
    tell(&[NotifyState::Stopping]);
}

/// Says for ever that the event loop turns: this is a part of it. Twice in the time systemd grants, and not
/// more often, since each time wakes the machine.
pub(crate) async fn watch_dog() -> Infallible {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return pending().await;
    };
    loop {
        tell(&[NotifyState::Watchdog]);
        sleep(patience / 2).await;
    }
}

/// Whether standard error is the journal, which adds the time by itself.
pub(crate) fn writes_log() -> bool {
    let Some(ours) = env::var("JOURNAL_STREAM").ok() else {
        return false;
    };
    fstat(rustix::stdio::stderr()).is_ok_and(|file| ours == format!("{}:{}", file.st_dev, file.st_ino))
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_found_by_its_name() {
        assert_eq!(position(Some("agent")), Some(0));
        assert_eq!(position(Some("metrics:agent")), Some(1));
        assert_eq!(position(Some("cibad.socket")), None);
        assert_eq!(position(None), Some(0));
    }
}

//! launchd: socket activation (launch_activate_socket(3)). It wants to hear nothing.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use raunch::Error;

use super::SOCKET;

/// Returns the socket that launchd listens on for us; `None` when it does not.
pub(crate) fn socket() -> io::Result<Option<UnixListener>> {
    let given = match raunch::activate_socket(SOCKET) {
        Ok(given) => given,
        Err(Error::NotManaged | Error::NotInPlist) => return Ok(None),
        Err(error) => return Err(io::Error::other(error)),
    };
    Ok(given
        .first()
        .map(|&descriptor| UnixListener::from(own(descriptor))))
}

#[expect(
    unsafe_code,
    reason = "launchd gives a bare number, and no other call takes one"
)]
fn own(descriptor: i32) -> OwnedFd {
    // SAFETY: launchd opened it for this process and gives each out once.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// launchd does not ask.
pub(crate) fn serving(_socket: &Path) {}

/// launchd does not ask.
pub(crate) fn reloading() {}

/// launchd does not ask.
pub(crate) fn reloaded() {}

/// launchd does not ask.
pub(crate) fn leaving() {}

/// launchd does not ask.
pub(crate) async fn watch_dog() -> Infallible {
    pending().await
}

/// The file that launchd writes adds nothing to a line.
pub(crate) fn writes_log() -> bool {
    false
}

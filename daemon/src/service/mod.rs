//! The service manager, where there is one: it may give the listening socket, and hears how the daemon does.
//! Without one nothing here does anything.

#[cfg(target_os = "macos")]
#[path = "launchd.rs"]
mod manager;
#[cfg(target_os = "linux")]
#[path = "systemd.rs"]
mod manager;

pub(crate) use self::manager::{leaving, reloaded, reloading, serving, socket, watch_dog, writes_log};

/// The socket's name in the units and in the property list.
const SOCKET: &str = "agent";

/// What systemd tells a process about itself in the environment. A daemon that somebody's service happens to
/// start must not speak in that service's name.
pub(crate) const VARIABLES: [&str; 6] = [
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

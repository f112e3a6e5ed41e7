//! Waits for a change in a directory: for the commands that follow a file (`ciba logs --follow`, `ciba audit --follow`).

#[cfg(target_os = "linux")]
use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::io::Read as _;
use std::path::Path;

/// Tells that something in a directory has changed.
#[cfg(target_os = "linux")]
pub(crate) struct Changes(File);

#[cfg(target_os = "linux")]
impl Changes {
    pub(crate) fn of(directory: &Path) -> io::Result<Self> {
        use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

        let queue = init(CreateFlags::CLOEXEC)?;
        add_watch(&queue, directory, WatchFlags::MODIFY | WatchFlags::CREATE)?;
        Ok(Self(queue.into()))
    }

    /// Waits for a change. May return without one, as when the process was stopped and goes on.
    pub(crate) fn wait(&self) -> io::Result<()> {
        match (&self.0).read(&mut [0; 4096]) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }
}

/// Looks again from time to time: an interactive command, where no other call is to be had.
#[cfg(not(target_os = "linux"))]
pub(crate) struct Changes;

#[cfg(not(target_os = "linux"))]
impl Changes {
    #[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
    pub(crate) fn of(_: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "as on Linux")]
    pub(crate) fn wait(&self) -> io::Result<()> {
        /// Nanoseconds between two looks: a quarter of a second.
        const GLANCE: rustix::event::Timespec = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 250_000_000,
        };
        rustix::event::poll(&mut [], Some(&GLANCE))?;
        Ok(())
    }
}

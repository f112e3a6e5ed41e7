//! Where the daemon listens (I-001): a private directory, a lock that makes it the only one, and the socket,
//! which a daemon touches only while it holds the lock. The socket is bound here, or comes from a service manager or
//! from the program that this process ran before.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use interprocess::local_socket::tokio::Listener;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, Name, ToFsName as _};
use interprocess::os::unix::local_socket::ListenerOptionsExt as _;
use interprocess::os::unix::uds_local_socket::tokio as uds;
use ipc_proto::{DirectoryFacts, DirectoryProblem};
use rustix::fs::{Mode, OFlags};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::incumbent::{self, Incumbent};

/// How long another daemon that holds the lock may take until it answers: it may be starting or leaving.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks at the other daemon.
const PACE: Duration = Duration::from_millis(20);

const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// Which daemon serves this user.
pub(crate) enum Claim {
    Ours(Listening),
    /// Another daemon.
    Taken(Incumbent),
}

/// The socket, and the right to it. Dropped in this order: no listener, no name, no lock.
pub(crate) struct Listening {
    listener: Listener,
    socket: PathBuf,
    /// Absent when a service manager has bound the socket: then it stays.
    name: Option<SocketName>,
    lock: Lock,
}

/// The same as bare descriptors, for the next program in this process.
pub(crate) struct ListeningFds {
    pub(crate) listener: OwnedFd,
    pub(crate) lock: OwnedFd,
    /// Whether the socket is removed at the end.
    pub(crate) is_bound_here: bool,
}

impl Listening {
    pub(crate) fn listener(&self) -> &Listener {
        &self.listener
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Stops listening and removes the socket. While the lock lives, no other daemon starts.
    pub(crate) fn close(self) -> Lock {
        self.lock
    }

    /// Gives up the descriptors without closing them: clients that come now wait in the socket's backlog.
    pub(crate) fn into_fds(self) -> io::Result<ListeningFds> {
        let Listener::UdSocket(listener) = self.listener;
        let listener = OwnedFd::try_from(listener)?;
        let is_bound_here = self.name.is_some();
        if let Some(name) = self.name {
            name.keep();
        }
        Ok(ListeningFds {
            listener,
            lock: self.lock.0.into(),
            is_bound_here,
        })
    }

    /// Listens on what the last program of this process has left.
    pub(crate) fn from_fds(fds: ListeningFds) -> Result<Self, ClaimError> {
        let listener = UnixListener::from(fds.listener);
        let mut listening = Self::adopt(listener, Lock(fds.lock.into()))?;
        listening.name = fds
            .is_bound_here
            .then(|| SocketName::of(&listening.socket))
            .flatten();
        Ok(listening)
    }

    /// Listens on a socket that another process has bound.
    fn adopt(listener: UnixListener, lock: Lock) -> Result<Self, ClaimError> {
        let socket = path(&listener)?;
        let failed = |error| ClaimError::Bind(socket.clone(), error);
        let listener = uds::Listener::try_from(OwnedFd::from(listener)).map_err(failed)?;
        Ok(Self {
            listener: listener.into(),
            socket,
            name: None,
            lock,
        })
    }
}

/// Held for the process's life; the system lets go of it when the process dies.
pub(crate) struct Lock(File);

/// A bound socket's path; removed on drop.
struct SocketName {
    path: PathBuf,
    /// Device and inode.
    file: (u64, u64),
}

impl SocketName {
    /// `None` when there is no such file any more.
    fn of(path: &Path) -> Option<Self> {
        let seen = fs::symlink_metadata(path).ok()?;
        Some(Self {
            path: path.into(),
            file: identity(&seen),
        })
    }

    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for SocketName {
    fn drop(&mut self) {
        // A service manager binds its socket in the place of ours without asking: that one stays.
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|seen| identity(&seen) == self.file);
        if is_ours {
            // Whatever is left, the next daemon removes.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Why this process cannot serve.
#[derive(Debug, Error)]
pub(crate) enum ClaimError {
    #[error("{0} is no path for a socket")]
    NoPath(PathBuf),
    #[error("{0} cannot be created")]
    Directory(PathBuf, #[source] io::Error),
    #[error("{0} {1}")]
    Untrusted(PathBuf, DirectoryProblem),
    #[error("{0} cannot be locked")]
    Lock(PathBuf, #[source] io::Error),
    #[error("another cibad (pid {0}) holds the lock but does not answer")]
    Silent(String),
    #[error("a service manager listens on {0}, but its cibad does not answer")]
    Unanswered(PathBuf),
    #[error("another cibad (pid {0}) serves already, outside the service manager; end it with: kill {0}")]
    Elsewhere(String),
    #[error("the socket of the service manager has no path")]
    NoName,
    #[error("{0} is in the way: it is no socket")]
    InTheWay(PathBuf),
    #[error("cannot listen on {0}")]
    Bind(PathBuf, #[source] io::Error),
}

/// Becomes the daemon of the user `uid`, unless there is one.
pub(crate) async fn claim(socket: &Path, uid: u32) -> Result<Claim, ClaimError> {
    prepare(socket, uid)?;
    let lock = Contested::open(socket)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let is_free = lock.try_lock()?;
        if is_free && !incumbent::listens(socket).await {
            return listen(socket, lock.sign()?).map(Claim::Ours);
        }
        if is_free {
            // No daemon holds the lock, and yet the socket is listened on: by a service manager, which starts its
            // daemon when it is connected to. That one needs the lock.
            lock.let_go()?;
        }
        if let Some(incumbent) = Incumbent::greet(socket).await {
            return Ok(Claim::Taken(incumbent));
        }
        if Instant::now() >= deadline && is_free {
            return Err(ClaimError::Unanswered(socket.into()));
        }
        if Instant::now() >= deadline {
            return Err(ClaimError::Silent(lock.holder()));
        }
        sleep(PACE).await;
    }
}

/// Becomes the daemon of the user `uid` on a service manager's socket. Another daemon cannot be asked to leave: the
/// socket's path no longer leads to it.
pub(crate) async fn adopt(listener: UnixListener, uid: u32) -> Result<Listening, ClaimError> {
    let socket = path(&listener)?;
    prepare(&socket, uid)?;
    let lock = Contested::open(&socket)?;
    let deadline = Instant::now() + PATIENCE;
    while !lock.try_lock()? {
        if Instant::now() >= deadline {
            return Err(ClaimError::Elsewhere(lock.holder()));
        }
        sleep(PACE).await;
    }
    Listening::adopt(listener, lock.sign()?)
}

fn path(listener: &UnixListener) -> Result<PathBuf, ClaimError> {
    let address = listener.local_addr().ok();
    let path = address.as_ref().and_then(|address| address.as_pathname());
    path.map(Into::into).ok_or(ClaimError::NoName)
}

/// Creates the socket's directory and decides whether to trust what is there. Its parents are not ours to
/// create.
fn prepare(socket: &Path, uid: u32) -> Result<(), ClaimError> {
    let directory = socket.parent().ok_or_else(|| ClaimError::NoPath(socket.into()))?;
    let unusable = |error| ClaimError::Directory(directory.into(), error);
    match DirBuilder::new().mode(PRIVATE_DIRECTORY).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(unusable(error)),
        _ => {}
    }
    let seen = fs::symlink_metadata(directory).map_err(unusable)?;
    let facts = DirectoryFacts {
        is_dir: seen.is_dir(),
        owner: seen.uid(),
        mode: seen.mode(),
    };
    ipc_proto::check_directory(facts, uid).map_err(|problem| ClaimError::Untrusted(directory.into(), problem))
}

/// Returns the lock file that belongs to a socket: the process that holds it is the daemon.
fn lock_path(socket: &Path) -> PathBuf {
    socket.with_extension("lock")
}

/// The lock's file, before this process has it.
struct Contested {
    path: PathBuf,
    file: File,
}

impl Contested {
    /// Opens the lock that lies beside the socket.
    fn open(socket: &Path) -> Result<Self, ClaimError> {
        let path = lock_path(socket);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE_FILE)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path);
        match file {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(ClaimError::Lock(path, error)),
        }
    }

    /// Whether this process has the lock now.
    fn try_lock(&self) -> Result<bool, ClaimError> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(self.failed(error)),
        }
    }

    fn let_go(&self) -> Result<(), ClaimError> {
        self.file.unlock().map_err(|error| self.failed(error))
    }

    /// Writes down who holds the lock, for people and for [`ClaimError::Silent`].
    fn sign(self) -> Result<Lock, ClaimError> {
        let signed = self
            .file
            .set_len(0)
            .and_then(|()| writeln!(&self.file, "{}", std::process::id()));
        signed.map_err(|error| self.failed(error))?;
        Ok(Lock(self.file))
    }

    /// Returns the process id that the holder has written down.
    fn holder(&self) -> String {
        let pid = fs::read_to_string(&self.path)
            .ok()
            .and_then(|text| text.trim().parse::<u32>().ok());
        pid.map_or_else(|| "unknown".into(), |pid| pid.to_string())
    }

    fn failed(&self, error: io::Error) -> ClaimError {
        ClaimError::Lock(self.path.clone(), error)
    }
}

/// Binds the socket, which only the lock's holder may do. A socket that is there already is a dead one.
fn listen(socket: &Path, lock: Lock) -> Result<Listening, ClaimError> {
    let failed = |error| ClaimError::Bind(socket.into(), error);
    match fs::symlink_metadata(socket) {
        Ok(seen) if !seen.file_type().is_socket() => return Err(ClaimError::InTheWay(socket.into())),
        Ok(_) => fs::remove_file(socket).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = name(socket).and_then(|name| bind(&name)).map_err(failed)?;
    Ok(Listening {
        listener,
        socket: socket.into(),
        name: SocketName::of(socket),
        lock,
    })
}

fn name(socket: &Path) -> io::Result<Name<'_>> {
    socket.to_fs_name::<GenericFilePath>()
}

/// The mode is set before the socket has a name; where a system cannot do that, the directory and the umask
/// protect it. The name is not reclaimed on drop: that would go by name alone, whoever owns it by then.
fn bind(name: &Name<'_>) -> io::Result<Listener> {
    let options = || ListenerOptions::new().name(name.borrow()).reclaim_name(false);
    let private = (Mode::RUSR | Mode::WUSR).as_raw_mode();
    match options().mode(private).create_tokio() {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => options().create_tokio(),
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_lies_beside_the_socket() {
        assert_eq!(
            lock_path(Path::new("/r/ciba/agent.sock")),
            Path::new("/r/ciba/agent.lock")
        );
    }
}

//! Where the daemon listens (I-001): a private directory, a lock that makes it the only one, and the socket,
//! which nobody touches without holding the lock.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::tokio::Stream as _;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, ListenerOptions, Name, ToFsName as _};
use interprocess::os::unix::local_socket::ListenerOptionsExt as _;
use ipc_proto::{DirectoryFacts, DirectoryProblem, Lines, Op, PROTOCOL, Request};
use rustix::fs::OFlags;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, timeout};

/// How long another daemon that holds the lock may take until it answers: it may be starting or leaving.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time for one answer of the other daemon.
const ANSWER: Duration = Duration::from_secs(1);

/// Between two looks at the other daemon.
const PACE: Duration = Duration::from_millis(20);

const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// Who serves this user.
pub(crate) enum Claim {
    Ours(Seat),
    /// Another daemon, and it answers.
    Taken,
}

/// The socket, and the right to it. Dropped in this order: no listener, no name, no lock.
pub(crate) struct Seat {
    listener: Listener,
    _name: SocketName,
    lock: Lock,
}

impl Seat {
    pub(crate) fn listener(&self) -> &Listener {
        &self.listener
    }

    /// Stops listening and removes the socket. While the lock lives, no other daemon starts.
    pub(crate) fn close(self) -> Lock {
        self.lock
    }
}

/// Held for the process's life; the system lets go of it when the process dies.
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not used")] File);

/// A bound socket's path; removed on drop.
struct SocketName(PathBuf);

impl Drop for SocketName {
    fn drop(&mut self) {
        // Whatever is left, the next daemon removes.
        let _ = fs::remove_file(&self.0);
    }
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
    #[error("{0} is in the way: it is no socket")]
    InTheWay(PathBuf),
    #[error("cannot listen on {0}")]
    Bind(PathBuf, #[source] io::Error),
}

/// Becomes the daemon of the user `uid`, unless somebody is.
pub(crate) async fn claim(socket: &Path, uid: u32) -> Result<Claim, ClaimError> {
    let directory = socket.parent().ok_or_else(|| ClaimError::NoPath(socket.into()))?;
    prepare(directory, uid)?;
    let path = ipc_proto::lock_path(socket);
    let locked = |error| ClaimError::Lock(path.clone(), error);
    let file = open_lock(&path).map_err(locked)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return seat(socket, Lock::sign(file).map_err(locked)?).map(Claim::Ours),
            Err(TryLockError::Error(error)) => return Err(locked(error)),
            Err(TryLockError::WouldBlock) => {}
        }
        if let Ok(Ok(())) = timeout(ANSWER, greet(socket)).await {
            return Ok(Claim::Taken);
        }
        if Instant::now() >= deadline {
            return Err(ClaimError::Silent(holder(&path)));
        }
        sleep(PACE).await;
    }
}

/// Creates the directory and decides whether to trust what is there. Its parents are not ours to create.
fn prepare(directory: &Path, uid: u32) -> Result<(), ClaimError> {
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

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE_FILE)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

impl Lock {
    /// Writes down who holds the lock, for people and for [`ClaimError::Silent`].
    fn sign(mut file: File) -> io::Result<Self> {
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self(file))
    }
}

fn holder(path: &Path) -> String {
    let pid = fs::read_to_string(path)
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    pid.map_or_else(|| "unknown".into(), |pid| pid.to_string())
}

/// Binds the socket, which only the lock's holder may do. A socket that is there already is a dead one.
fn seat(socket: &Path, lock: Lock) -> Result<Seat, ClaimError> {
    let failed = |error| ClaimError::Bind(socket.into(), error);
    match fs::symlink_metadata(socket) {
        Ok(seen) if !seen.file_type().is_socket() => return Err(ClaimError::InTheWay(socket.into())),
        Ok(_) => fs::remove_file(socket).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = name(socket).and_then(|name| bind(&name)).map_err(failed)?;
    Ok(Seat {
        listener,
        _name: SocketName(socket.into()),
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
    match options().mode(PRIVATE_FILE).create_tokio() {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => options().create_tokio(),
        bound => bound,
    }
}

/// Returns when the daemon behind the socket has said anything at all.
async fn greet(socket: &Path) -> io::Result<()> {
    let stream = Stream::from_options(&ConnectOptions::new().name(name(socket)?)).await?;
    let hello = Request {
        id: 0.into(),
        op: Op::Hello { protocol: PROTOCOL },
    };
    (&stream).write_all(&hello.encode()).await?;
    let mut lines = Lines::default();
    while lines.next_line().is_none() {
        let space = lines.space().map_err(io::Error::other)?;
        let count = (&stream).read(space).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        lines.filled(count);
    }
    Ok(())
}

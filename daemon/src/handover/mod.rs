//! How a running daemon becomes the program that is installed now, without losing a session or a client: the
//! process replaces its own code (execve), and finds again what it must keep. Its process id stays by itself.
//! The lock and the listening socket travel as descriptors, the sessions as bytes in a pipe: they are in the
//! kernel's memory meanwhile, never on a disk or a command line.

mod login;

use std::cell::OnceCell;
use std::env;
use std::fs::{self, File, Metadata};
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tracing::warn;
use zeroize::Zeroizing;

pub(crate) use self::login::HandedOver;
use crate::listen::ListeningFds;
use crate::ownership::{self, NotOurs};
use crate::service;

/// The argument by which a program knows that it takes over. What it takes over is on its standard input.
pub(crate) const ARGUMENT: &str = "--takes-over";

/// How long the next program may take to say that it can be run.
const TRIAL: Duration = Duration::from_secs(5);

/// The form of what is handed over. Newer programs go on reading this one.
const FORM: u8 = 1;

/// The lock, the listener and the sessions.
const DESCRIPTORS: usize = 3;

/// Bytes of one session. More is not what we wrote.
const MAX_ITEM: u32 = 64 * 1024;

/// The group `admin` of macOS.
const ADMINISTRATORS: u32 = 80;

/// The permission to write of a file's group.
const GROUP_WRITES: u32 = 0o020;

/// Bytes that a pipe holds without being asked.
const PIPE: usize = 64 * 1024;

/// The program that this process runs, as it was when it started.
pub(crate) struct Program {
    /// The name that leads to the next one as well: a link where it was started by a link.
    path: PathBuf,
    file: Identity,
    /// Kept once the system has refused to run another program; see [`carry_on`].
    refused: OnceCell<Signal>,
}

/// Device, inode and time of the last change (seconds, nanoseconds).
type Identity = (u64, u64, i64, i64);

/// What the next program is given.
pub(crate) struct HandOver {
    pub(crate) listening: ListeningFds,
    /// A pipe's end, as [`pack`] made it.
    pub(crate) sessions: OwnedFd,
}

/// Why this process stays the program that it is.
#[derive(Debug, Error)]
pub(crate) enum HandOverError {
    #[error("the installed program was refused before; restart cibad instead")]
    Again,
    #[error("the installed program is not run: {0} {1}")]
    Untrusted(PathBuf, NotOurs),
    #[error("the installed program cannot be run: {0}")]
    Trial(String),
    #[error("cibad is shutting down")]
    Leaving,
    #[error("a login is under way, and its person would come back to nobody")]
    Login,
    #[error("the sessions do not fit into a pipe: {0}")]
    Sessions(io::Error),
    #[error("the installed program cannot be given what it needs: {0}")]
    Give(io::Error),
    #[error("the system does not run the installed program: {0}")]
    Exec(io::Error),
}

impl Program {
    /// Returns the program of this process.
    pub(crate) fn running() -> io::Result<Self> {
        let actual = env::current_exe()?;
        let file = identity(&fs::metadata(RUNNING.map_or(actual.as_path(), Path::new))?);
        Ok(Self {
            path: started_as(file).unwrap_or(actual),
            file,
            refused: OnceCell::new(),
        })
    }

    /// Returns what leads to it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether another program lies in its place now. One that is gone is replaced by nothing.
    pub(crate) fn is_replaced(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|seen| identity(&seen) != self.file)
    }

    /// Runs the program in the place of this one to see that it can be run here, and that it knows how to take
    /// over: what fails now costs nothing.
    pub(crate) async fn try_out(&self) -> Result<(), HandOverError> {
        if self.refused.get().is_some() {
            return Err(HandOverError::Again);
        }
        self.check_owner()?;
        let failed = |reason: &str| HandOverError::Trial(reason.into());
        let mut trial = tokio::process::Command::new(&self.path);
        // Known arguments are read up to the one that prints and ends.
        trial
            .args([ARGUMENT, "--version"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        for variable in service::VARIABLES {
            trial.env_remove(variable);
        }
        match timeout(TRIAL, trial.status()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(failed(&status.to_string())),
            Ok(Err(error)) => Err(failed(&error.to_string())),
            Err(_) => Err(failed("it does not end")),
        }
    }

    /// Makes this process run the program in its place, with `arguments` and the same environment. Returns only
    /// when that fails; then what was to be handed over is as it was.
    pub(crate) fn replace(&self, arguments: &[&str], hand_over: &HandOver) -> HandOverError {
        if let Err(error) = self.check_owner() {
            return error;
        }
        let theirs = match give(hand_over) {
            Ok(theirs) => theirs,
            Err(error) => return HandOverError::Give(error),
        };
        let error = Command::new(&self.path)
            .arg(ARGUMENT)
            .args(arguments)
            .stdin(OwnedFd::from(theirs))
            .exec();
        match carry_on() {
            // Only one failure can be made good, so there is only one.
            Ok(signal) => drop(self.refused.set(signal)),
            Err(error) => warn!(%error, "standard input and SIGPIPE are not as they were"),
        }
        HandOverError::Exec(error)
    }

    /// Refuses what somebody else could have put there: the program, and where it or a link to it lies.
    fn check_owner(&self) -> Result<(), HandOverError> {
        let unseen = |error: io::Error| HandOverError::Trial(error.to_string());
        let uid = rustix::process::geteuid().as_raw();
        let file = self.path.canonicalize().map_err(unseen)?;
        let directories = [file.parent(), self.path.parent()].into_iter().flatten();
        for place in directories.chain([file.as_path()]) {
            let seen = fs::metadata(place).map_err(unseen)?;
            ownership::check(seen.uid(), mode(&seen), uid)
                .map_err(|problem| HandOverError::Untrusted(place.into(), problem))?;
        }
        Ok(())
    }
}

/// Returns the absolute path by which this process was started, if that leads to its program.
fn started_as(program: Identity) -> Option<PathBuf> {
    let name = env::args_os().next()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let is_it = |path: &Path| fs::metadata(path).is_ok_and(|seen| identity(&seen) == program);
    std::path::absolute(ipc_proto::started_as(&name, &path, is_it)?).ok()
}

/// The permissions that count. An administrator of a Mac may become root, and Homebrew's directories are theirs.
fn mode(seen: &Metadata) -> u32 {
    let is_administrators = cfg!(target_os = "macos") && seen.gid() == ADMINISTRATORS;
    let harmless = if is_administrators { GROUP_WRITES } else { 0 };
    seen.mode() & !harmless
}

/// The running program's file, also when its name leads to another one by now.
const RUNNING: Option<&str> = if cfg!(target_os = "linux") {
    Some("/proc/self/exe")
} else {
    None
};

fn identity(file: &Metadata) -> Identity {
    (file.dev(), file.ino(), file.mtime(), file.mtime_nsec())
}

/// Puts right what an attempt to run another program leaves behind: standard input is what was to be handed over, and a client
/// that has gone ends this process by SIGPIPE, unless somebody listens to that signal.
fn carry_on() -> io::Result<Signal> {
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    signal(SignalKind::pipe())
}

/// Returns a socket on which it waits.
fn give(hand_over: &HandOver) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    let descriptors = [
        hand_over.listening.lock.as_fd(),
        hand_over.listening.listener.as_fd(),
        hand_over.sessions.as_fd(),
    ];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let head = [FORM, u8::from(hand_over.listening.is_bound_here)];
    sendmsg(&ours, &[IoSlice::new(&head)], &mut control, SendFlags::empty())?;
    Ok(theirs)
}

/// Takes what the last program of this process has left on standard input.
pub(crate) fn inherit() -> io::Result<HandOver> {
    let hand_over = take(rustix::stdio::stdin())?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(hand_over)
}

fn take(socket: BorrowedFd<'_>) -> io::Result<HandOver> {
    let mut head = [0; 2];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut head)],
        &mut control,
        RecvFlags::empty(),
    )?;
    let descriptors: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    let unknown = || io::Error::from(io::ErrorKind::InvalidData);
    for descriptor in &descriptors {
        // Not every system takes this along with the message; nothing runs yet that could start a program.
        fcntl_setfd(descriptor, FdFlags::CLOEXEC)?;
    }
    let [lock, listener, sessions] = descriptors.try_into().map_err(|_| unknown())?;
    if received.bytes != head.len() || head[0] != FORM {
        return Err(unknown());
    }
    Ok(HandOver {
        listening: ListeningFds {
            listener,
            lock,
            is_bound_here: head[1] == 1,
        },
        sessions,
    })
}

/// Puts every item into a pipe and returns the end to read from. Refuses what does not fit: nobody reads
/// meanwhile.
pub(crate) fn pack<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Result<OwnedFd, HandOverError> {
    let items: Vec<&[u8]> = items.into_iter().collect();
    fill(&items).map_err(HandOverError::Sessions)
}

fn fill(items: &[&[u8]]) -> io::Result<OwnedFd> {
    let total = items.iter().map(|item| size_of::<u32>() + item.len()).sum();
    let (reader, mut writer) = io::pipe()?;
    widen(&writer, total)?;
    fcntl_setfl(&writer, OFlags::NONBLOCK)?;
    // One write, since a pipe counts in pages. Room from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(total));
    for item in items {
        let length = u32::try_from(item.len())
            .ok()
            .filter(|&length| length <= MAX_ITEM);
        bytes.extend(length.ok_or(io::ErrorKind::InvalidInput)?.to_be_bytes());
        bytes.extend_from_slice(item);
    }
    writer.write_all(&bytes)?;
    Ok(reader.into())
}

/// Asks for a pipe that holds `size` bytes, where that is more than it does unasked.
#[cfg(target_os = "linux")]
fn widen(pipe: impl AsFd, size: usize) -> io::Result<()> {
    if size > PIPE {
        rustix::pipe::fcntl_setpipe_size(pipe, size)?;
    }
    Ok(())
}

/// Elsewhere it holds what it holds.
#[cfg(not(target_os = "linux"))]
fn widen(_pipe: impl AsFd, size: usize) -> io::Result<()> {
    if size > PIPE {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}

/// Takes every item out of the pipe.
pub(crate) fn unpack(pipe: OwnedFd) -> io::Result<Vec<Zeroizing<Vec<u8>>>> {
    let mut pipe = File::from(pipe);
    let mut items = Vec::new();
    loop {
        let mut length = [0; size_of::<u32>()];
        match pipe.read(&mut length[..1])? {
            0 => return Ok(items),
            _ => pipe.read_exact(&mut length[1..])?,
        }
        let length = u32::from_be_bytes(length);
        if length > MAX_ITEM {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut item = Zeroizing::new(vec![0; length as usize]);
        pipe.read_exact(&mut item)?;
        items.push(item);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn packed(items: &[Vec<u8>]) -> Result<OwnedFd, HandOverError> {
        pack(items.iter().map(Vec::as_slice))
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        for items in [
            vec![],
            vec![vec![]],
            vec![b"one".to_vec(), vec![], vec![0xa5; MAX_ITEM as usize]],
        ] {
            let unpacked = unpack(packed(&items).unwrap()).unwrap();
            let unpacked: Vec<Vec<u8>> = unpacked.iter().map(|item| item.to_vec()).collect();
            assert_eq!(unpacked, items);
        }
    }

    #[test]
    fn as_many_sessions_fit_as_there_may_be() {
        const MAX_SESSIONS: usize = 64;
        let usual = vec![vec![1; 700]; MAX_SESSIONS];
        assert_eq!(unpack(packed(&usual).unwrap()).unwrap().len(), MAX_SESSIONS);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_longest_names_fit_too() {
        const MAX_SESSIONS: usize = 64;
        let long = vec![vec![1; 8 * 1024]; MAX_SESSIONS];
        assert_eq!(unpack(packed(&long).unwrap()).unwrap().len(), MAX_SESSIONS);
    }

    #[test]
    fn what_does_not_fit_is_refused_at_once() {
        let limit = MAX_ITEM as usize;
        assert!(matches!(
            packed(&[vec![0; limit + 1]]),
            Err(HandOverError::Sessions(_))
        ));
        let more_than_any_pipe_holds = vec![vec![0; limit]; 1 << 15];
        assert!(matches!(
            packed(&more_than_any_pipe_holds),
            Err(HandOverError::Sessions(_))
        ));
    }

    #[test]
    fn a_pipe_that_is_not_ours_is_an_error() {
        for bytes in [&b"\0\0\0"[..], b"\0\0\0\x02a", b"\xff\xff\xff\xff"] {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(bytes).unwrap();
            drop(writer);
            assert!(unpack(reader.into()).is_err());
        }
    }

    fn hand_over(directory: &Path, is_bound_here: bool) -> HandOver {
        let lock = File::create(directory.join("lock")).unwrap();
        lock.try_lock().unwrap();
        let listener = UnixListener::bind(directory.join("socket")).unwrap();
        HandOver {
            listening: ListeningFds {
                listener: listener.into(),
                lock: lock.into(),
                is_bound_here,
            },
            sessions: packed(&[b"one".to_vec()]).unwrap(),
        }
    }

    #[test]
    fn lock_listener_and_sessions_pass_through_a_socket() {
        for is_bound_here in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let socket = give(&hand_over(directory.path(), is_bound_here)).unwrap();
            let taken = take(socket.as_fd()).unwrap();
            assert_eq!(taken.listening.is_bound_here, is_bound_here);
            assert_eq!(*unpack(taken.sessions).unwrap()[0], b"one");
            let free = || {
                File::open(directory.path().join("lock"))
                    .unwrap()
                    .try_lock()
                    .is_ok()
            };
            assert!(!free(), "the lock was never let go");
            let client = UnixStream::connect(directory.path().join("socket")).unwrap();
            let (mut accepted, _) = UnixListener::from(taken.listening.listener).accept().unwrap();
            (&client).write_all(b"x").unwrap();
            accepted.read_exact(&mut [0]).unwrap();
            drop(taken.listening.lock);
            assert!(free());
        }
    }

    #[test]
    fn what_is_no_hand_over_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&ours).write_all(&[FORM, 1]).unwrap();
        assert!(take(theirs.as_fd()).is_err(), "no descriptors");
        drop(ours);
        assert!(take(theirs.as_fd()).is_err(), "nothing");
        assert!(
            take(File::open("/dev/null").unwrap().as_fd()).is_err(),
            "no socket"
        );
    }

    #[test]
    fn a_program_is_replaced_when_another_file_lies_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cibad");
        fs::write(&path, "old").unwrap();
        let program = Program {
            file: identity(&fs::metadata(&path).unwrap()),
            path: path.clone(),
            refused: OnceCell::new(),
        };
        assert!(!program.is_replaced());
        fs::rename(&path, directory.path().join("cibad.old")).unwrap();
        assert!(!program.is_replaced(), "nothing is there to hand over to");
        fs::write(&path, "new").unwrap();
        assert!(program.is_replaced());
    }

    #[test]
    fn the_running_program_is_not_replaced() {
        assert!(!Program::running().unwrap().is_replaced());
    }

    #[tokio::test]
    async fn a_program_that_cannot_take_over_is_found_out() {
        let program = |path: &str| Program {
            path: path.into(),
            file: (0, 0, 0, 0),
            refused: OnceCell::new(),
        };
        assert!(program("/bin/true").try_out().await.is_ok());
        assert!(program("/bin/false").try_out().await.is_err());
        assert!(program("/dev/null").try_out().await.is_err());
        assert!(program("/nowhere").try_out().await.is_err());
    }
}

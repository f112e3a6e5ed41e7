//! How a running daemon becomes the program that is installed now, without losing a session or a client: the
//! process replaces its own code (execve), and finds again what it must keep. Its process id stays by itself.
//! The lock and the listening socket travel as descriptors, the sessions as bytes in a pipe: they are in the
//! kernel's memory meanwhile, never on a disk or a command line.

mod login;
mod pipe;
mod program;

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use thiserror::Error;

pub(crate) use self::login::HandedOver;
pub(crate) use self::pipe::{pack, unpack};
pub(crate) use self::program::Program;
use crate::listen::ListeningFds;
use crate::ownership::NotOurs;

/// The argument by which a program knows that it takes over. What it takes over is on its standard input.
pub(crate) const ARGUMENT: &str = "--takes-over";

/// The form of what is handed over. Newer programs go on reading this one.
const FORM: u8 = 1;

/// The lock, the listener and the sessions.
const DESCRIPTORS: usize = 3;

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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use super::*;

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
            sessions: pack([&b"one"[..]]).unwrap(),
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
}

//! The way to the daemon: finds its socket, trusts it only when it is the user's own (I-001, I-002), sends
//! one request and reads what comes back. Step 10 of the token's way, seen from the shell.

use std::fmt::Display;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use interprocess::ConnectWaitMode;
use interprocess::local_socket::traits::{Stream as _, StreamCommon as _};
use interprocess::local_socket::{ConnectOptions, GenericFilePath, Stream, ToFsName as _};
use ipc_proto::{
    DirectoryFacts, DirectoryProblem, ErrorCode, Failure, Hello, Id, Lines, Message, Op, PROTOCOL, Request,
    TooLong,
};
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::launch;
use crate::terminal::Progress;

/// How long connecting, sending a request, or comparing protocols may take.
const PROMPTLY: Duration = Duration::from_secs(5);

/// How often a person is shown for how long a command has waited.
const TICK: Duration = Duration::from_secs(1);

/// A connection to the user's own daemon.
pub(crate) struct Connection {
    stream: Stream,
    lines: Lines,
}

impl Connection {
    /// Connects, and starts the daemon when there is none.
    pub(crate) fn connect_or_start() -> Result<Self, Error> {
        if let Some(connection) = Self::connect()? {
            return Ok(connection);
        }
        launch::daemon()?;
        Self::connect()?.ok_or_else(|| Error::internal("cibad has started and does not serve at its socket"))
    }

    /// Connects; `None` when no daemon is there.
    pub(crate) fn connect() -> Result<Option<Self>, Error> {
        let uid = rustix::process::geteuid().as_raw();
        let path = socket()?;
        if !is_trusted(directory(&path), uid)? {
            return Ok(None);
        }
        let Some(stream) = open(&path)? else {
            return Ok(None);
        };
        check_peer(&stream, uid)?;
        Ok(Some(Self {
            stream,
            lines: Lines::default(),
        }))
    }

    /// Asks the daemon, which is started when there is none. One that leaves or becomes another program meanwhile is
    /// asked again, once: only for what may be asked twice.
    pub(crate) fn ask_whoever_serves<T>(
        op: Op,
        asking: impl Fn(Self, Op) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match asking(Self::connect_or_start()?, op.clone()) {
            Err(error) if has_left(&error) => asking(Self::connect_or_start()?, op),
            asked => asked,
        }
    }

    /// Sends a request and returns its one answer.
    pub(crate) fn ask<T: DeserializeOwned>(mut self, op: Op, patience: Duration) -> Result<T, Error> {
        self.send(op)?;
        self.answer(patience)
    }

    /// Waits for the one answer to what was sent.
    pub(crate) fn answer<T: DeserializeOwned>(&mut self, patience: Duration) -> Result<T, Error> {
        let answer = self.answer_before(Instant::now() + patience)?;
        answer.ok_or_else(|| too_late(patience))
    }

    /// Does the same as [`Connection::ask`], and shows a person for how long already, where it takes more than a moment.
    pub(crate) fn ask_visibly<T: DeserializeOwned>(
        mut self,
        op: Op,
        patience: Duration,
        what: impl Display,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let mut progress = None;
        let mut waited = Duration::ZERO;
        self.send(op)?;
        loop {
            waited = (waited + TICK).min(patience);
            if let Some(answer) = self.answer_before(begun + waited)? {
                return Ok(answer);
            }
            if waited == patience {
                return Err(too_late(patience));
            }
            progress = progress.or_else(Progress::new);
            if let Some(line) = &progress {
                line.show(format_args!("{what} … {} s", waited.as_secs()));
            }
        }
    }

    /// Passes over events until the answer comes; `None` when `deadline` comes first.
    fn answer_before<T: DeserializeOwned>(&mut self, deadline: Instant) -> Result<Option<T>, Error> {
        loop {
            match self.next(Some(deadline))? {
                Some(Message::Answer(answer)) => return Ok(Some(answer)),
                Some(Message::Failure(failure)) => return Err(failure.into()),
                Some(Message::Event(_) | Message::UnknownEvent) => {}
                None => return Ok(None),
            }
        }
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, op: Op) -> Result<(), Error> {
        let request = Request { id: Id::from(1), op };
        let sent = self
            .stream
            .set_send_timeout(Some(PROMPTLY))
            .and_then(|()| self.stream.write_all(&request.encode()));
        sent.map_err(|_| went_away())
    }

    /// Waits for the next message; `None` when `deadline` comes first.
    pub(crate) fn next<T: DeserializeOwned>(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Message<T>>, Error> {
        loop {
            if let Some(line) = self.lines.next_line() {
                return Message::decode(line).map(Some).map_err(|_| explain_mismatch());
            }
            if !self.read(deadline)? {
                return Ok(None);
            }
        }
    }

    /// Waits until the daemon hangs up. What else it says no longer matters.
    pub(crate) fn hung_up(mut self, patience: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + patience;
        // A daemon that leaves waits a moment for whoever may still ask. This client does not.
        let Stream::UdSocket(socket) = &self.stream;
        let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
        loop {
            match self.read(Some(deadline)) {
                Ok(true) => while self.lines.next_line().is_some() {},
                Ok(false) => return Err(too_late(patience)),
                Err(_) => return Ok(()),
            }
        }
    }

    /// Waits for bytes. Returns whether any came before `deadline`.
    fn read(&mut self, deadline: Option<Instant>) -> Result<bool, Error> {
        loop {
            let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if timeout.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            let space = self.lines.space().map_err(too_long)?;
            let read = self
                .stream
                .set_recv_timeout(timeout)
                .and_then(|()| self.stream.read(space));
            match read {
                Ok(0) => return Err(went_away()),
                Ok(count) => {
                    self.lines.filled(count);
                    return Ok(true);
                }
                // The deadline, or a signal such as a changed window size: the clock tells which.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => return Err(went_away()),
            }
        }
    }
}

fn too_long(problem: TooLong) -> Error {
    Error::internal(format!("cibad's answer is refused: {problem}"))
}

fn too_late(patience: Duration) -> Error {
    Error::timeout(format!("cibad did not answer in {} s", patience.as_secs()))
}

/// Returns where the user's daemon listens.
pub(crate) fn socket() -> Result<PathBuf, Error> {
    let uid = rustix::process::geteuid().as_raw();
    let path = ipc_proto::socket_path(uid, |name| std::env::var_os(name), Path::is_dir);
    if path.is_absolute() {
        return Ok(path);
    }
    Err(Error::usage(format!(
        "{} is not an absolute path; CIBA_SOCKET needs one",
        path.display()
    )))
}

/// Returns the directory that a socket lies in.
fn directory(socket: &Path) -> &Path {
    match socket.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether the directory exists; an error when it is not the user's own (I-001).
fn is_trusted(directory: &Path, uid: u32) -> Result<bool, Error> {
    let metadata = match directory.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => {
            return Err(Error::internal(format!(
                "the socket's directory cannot be seen: {error}"
            )));
        }
    };
    let facts = DirectoryFacts {
        is_dir: metadata.is_dir(),
        owner: metadata.uid(),
        mode: metadata.mode(),
    };
    match ipc_proto::check_directory(facts, uid) {
        Ok(()) => Ok(true),
        Err(problem) => Err(untrusted(directory, problem)),
    }
}

fn untrusted(directory: &Path, problem: DirectoryProblem) -> Error {
    let directory = directory.display();
    let error = Error::internal(format!("will not use the socket in {directory}: it {problem}"));
    match problem {
        DirectoryProblem::Open => error.hint(format!("chmod 700 {directory}")),
        DirectoryProblem::NotADirectory | DirectoryProblem::OtherOwner => error,
    }
}

/// Connects; `None` when nobody listens.
fn open(socket: &Path) -> Result<Option<Stream>, Error> {
    let connected = socket.to_fs_name::<GenericFilePath>().and_then(|name| {
        ConnectOptions::new()
            .name(name)
            .wait_mode(ConnectWaitMode::Timeout(PROMPTLY))
            .connect_sync()
    });
    match connected {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(Error::internal(format!("cibad cannot be reached: {error}"))),
    }
}

/// Refuses a socket behind which another user listens, before a byte is written (I-002).
fn check_peer(stream: &Stream, uid: u32) -> Result<(), Error> {
    // A daemon too busy to accept leaves the socket without a peer.
    let creds = stream
        .peer_creds()
        .map_err(|_| Failure::new(ErrorCode::Busy, "cibad takes no more connections"))?;
    if creds.euid() == Some(uid) {
        Ok(())
    } else {
        Err(Error::internal(
            "the process behind the socket belongs to another user",
        ))
    }
}

/// A daemon that hangs up has left, as one that says so.
fn went_away() -> Error {
    Failure::new(ErrorCode::Leaving, "cibad went away before it had answered").into()
}

fn has_left(error: &Error) -> bool {
    error
        .failure()
        .is_some_and(|failure| failure.code == ErrorCode::Leaving)
}

/// Returns what to say about an answer that is not understood: asks which protocol the daemon speaks
/// (I-004). Only then, since a question on every run would cost every run a round trip.
fn explain_mismatch() -> Error {
    let garbled = || Error::internal("cibad's answer is not of the known form");
    match daemon_hello() {
        Some(Message::Answer(hello)) if hello.protocol != PROTOCOL => {
            let cure = if hello.protocol > PROTOCOL {
                "upgrade ciba"
            } else {
                "upgrade cibad, then restart it"
            };
            let message = format!(
                "cibad {} speaks protocol {}, this ciba speaks {PROTOCOL}",
                hello.version, hello.protocol
            );
            Error::from(Failure::new(ErrorCode::UnsupportedProtocol, message).hint(cure))
        }
        Some(Message::Failure(failure)) if failure.code == ErrorCode::UnsupportedProtocol => failure.into(),
        _ => garbled(),
    }
}

fn daemon_hello() -> Option<Message<Hello>> {
    let mut connection = Connection::connect().ok()??;
    connection.send(Op::Hello { protocol: PROTOCOL }).ok()?;
    // One line read by hand: `next` would come back here when it is not understood.
    let deadline = Instant::now() + PROMPTLY;
    loop {
        if let Some(line) = connection.lines.next_line() {
            return Message::decode(line).ok();
        }
        connection.read(Some(deadline)).ok().filter(|came| *came)?;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn connection(stream: UnixStream) -> Connection {
        Connection {
            stream: Stream::UdSocket(stream.into()),
            lines: Lines::default(),
        }
    }

    #[test]
    fn a_daemon_that_hangs_is_a_timeout() {
        let (ours, _silent) = UnixStream::pair().unwrap();
        let asked = connection(ours).ask::<Hello>(Op::Watch {}, Duration::from_millis(20));
        assert!(matches!(asked, Err(Error::Told(failure)) if failure.code == ErrorCode::Timeout));
    }

    #[test]
    fn a_daemon_that_hangs_is_not_watched_for_ever() {
        let (ours, _silent) = UnixStream::pair().unwrap();
        let asked = connection(ours).ask_visibly::<Hello>(Op::Watch {}, Duration::from_millis(20), "Waiting");
        assert!(matches!(asked, Err(Error::Told(failure)) if failure.code == ErrorCode::Timeout));
    }

    #[test]
    fn a_daemon_that_chatters_does_not_move_the_deadline() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let event = b"{\"id\":1,\"event\":\"connected\",\"profile\":\"default\"}\n";
        let chatter = std::thread::spawn(move || while theirs.write_all(event).is_ok() {});
        let asked = connection(ours).ask::<Hello>(Op::Watch {}, Duration::from_millis(20));
        assert!(matches!(asked, Err(Error::Told(failure)) if failure.code == ErrorCode::Timeout));
        chatter.join().unwrap();
    }

    #[test]
    fn a_daemon_that_stays_is_told_from_one_that_hangs_up() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"{}\n").unwrap();
        let stayed = connection(ours).hung_up(Duration::from_millis(20));
        assert!(matches!(stayed, Err(Error::Told(failure)) if failure.code == ErrorCode::Timeout));
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"{}\n").unwrap();
        drop(theirs);
        assert!(connection(ours).hung_up(Duration::from_secs(60)).is_ok());
    }

    #[test]
    fn i_001_a_socket_without_a_directory_lies_in_the_current_one() {
        assert_eq!(directory(Path::new("agent.sock")), Path::new("."));
        assert_eq!(directory(Path::new("/x/agent.sock")), Path::new("/x"));
    }

    #[test]
    fn i_002_a_peer_of_another_user_is_refused() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let stream = Stream::UdSocket(ours.into());
        let uid = rustix::process::geteuid().as_raw();
        assert!(check_peer(&stream, uid).is_ok());
        assert!(check_peer(&stream, uid + 1).is_err());
    }
}

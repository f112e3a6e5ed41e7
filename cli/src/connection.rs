//! A connection to the user's own daemon: finds its socket, sends one request and reads the messages that come back.
//! Step 10 of the token's way, seen from the shell.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use interprocess::ConnectWaitMode;
use interprocess::local_socket::traits::Stream as _;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, Stream, ToFsName as _};
use ipc_proto::{ErrorCode, Failure, Hello, Id, Lines, Message, Op, PROTOCOL, Request, TooLong};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::{launch, trust};

/// How long connecting, sending a request, or comparing protocols may take.
const PROMPTLY: Duration = Duration::from_secs(5);

/// The id of the one request that is waited for.
const REQUEST: u64 = 1;

/// The id of requests whose answers are passed over.
const ASIDE: u64 = 2;

/// A connection to the user's own daemon.
pub(crate) struct Connection {
    stream: Stream,
    lines: Lines,
    /// Whether answers to [`Connection::send_aside`] may come.
    has_asides: bool,
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
        if !trust::has_directory(&path, uid)? {
            return Ok(None);
        }
        let Some(stream) = open(&path)? else {
            return Ok(None);
        };
        trust::check_peer(&stream, uid)?;
        Ok(Some(Self::over(stream)))
    }

    fn over(stream: Stream) -> Self {
        Self {
            stream,
            lines: Lines::default(),
            has_asides: false,
        }
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, op: Op) -> Result<(), Error> {
        self.send_as(REQUEST, op)
    }

    /// Sends a request beside the one that is under way. Its answer is passed over.
    pub(crate) fn send_aside(&mut self, op: Op) -> Result<(), Error> {
        self.has_asides = true;
        self.send_as(ASIDE, op)
    }

    fn send_as(&mut self, id: u64, op: Op) -> Result<(), Error> {
        let request = Request { id: Id::from(id), op };
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
                if self.has_asides && answers_aside(line) {
                    continue;
                }
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
        // A daemon that leaves waits a moment for further requests. This client has none.
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

fn answers_aside(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Line {
        id: Id,
    }
    serde_json::from_slice(line).is_ok_and(|Line { id }| id == Id::from(ASIDE))
}

fn too_long(problem: TooLong) -> Error {
    Error::internal(format!("cibad's answer is refused: {problem}"))
}

/// Returns the failure of a daemon that is still there and has not said what was waited for.
pub(crate) fn too_late(patience: Duration) -> Error {
    Error::timeout(format!("cibad did not answer in {} s", patience.as_secs()))
}

/// Returns where the user's daemon listens.
pub(crate) fn socket() -> Result<PathBuf, Error> {
    let uid = rustix::process::geteuid().as_raw();
    ipc_proto::socket_path(uid, |name| std::env::var_os(name), Path::is_dir)
        .map_err(|problem| Error::usage(problem.to_string()))
}

/// Connects; `None` when no process listens.
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

/// A daemon that hangs up without an answer has left, as much as one that says so.
fn went_away() -> Error {
    Failure::new(ErrorCode::Leaving, "cibad went away before it had answered").into()
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
        if !connection.read(Some(deadline)).ok()? {
            return None;
        }
    }
}

#[cfg(test)]
impl From<std::os::unix::net::UnixStream> for Connection {
    fn from(stream: std::os::unix::net::UnixStream) -> Self {
        Self::over(Stream::UdSocket(stream.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn an_answer_to_an_aside_is_passed_over() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut connection = Connection::from(ours);
        let confirm = Op::Confirm {
            number: 3,
            allow: true,
        };
        assert!(connection.send_aside(confirm).is_ok());
        let answers =
            b"{\"id\":2,\"ok\":{}}\n{\"id\":1,\"ok\":{\"protocol\":1,\"version\":\"0\",\"pid\":7}}\n";
        theirs.write_all(answers).unwrap();
        let next = connection.next::<Hello>(Some(Instant::now() + PROMPTLY));
        assert!(matches!(next, Ok(Some(Message::Answer(hello))) if hello.pid == 7));
    }

    #[test]
    fn a_daemon_that_stays_is_told_from_one_that_hangs_up() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"{}\n").unwrap();
        let stayed = Connection::from(ours).hung_up(Duration::from_millis(20));
        assert!(matches!(stayed, Err(Error::Told(failure)) if failure.code == ErrorCode::Timeout));
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"{}\n").unwrap();
        drop(theirs);
        assert!(Connection::from(ours).hung_up(Duration::from_secs(60)).is_ok());
    }
}

//! The restricted socket of `ciba forward`: what comes in there is held to a few named resources, and asked of the daemon.
//! Another machine is at its other end, which may be less trusted than this one.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use interprocess::local_socket::Stream;
use ipc_proto::{
    ErrorCode, Failure, Hello, Id, Lines, Op, PROTOCOL, ProfileName, Request, Token, TokenFields,
    encode_answer, encode_failure, encode_token,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::{ask, companion, trust};

/// The tool, as the audit names it, whatever the other end says.
const TOOL: &str = "forward";

/// Connections served at the same time.
const MAX_CONNECTIONS: usize = 16;

/// Seconds a far client may demand that a token still lasts: with more, each of its requests would cost a renewal.
const MAX_MIN_VALID: u64 = 300;

/// How long a client may take to send a line, or to read one.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the other end may have.
pub(crate) struct Grant {
    /// The login that the tokens come from.
    pub(crate) profile: Option<ProfileName>,
    /// The resources of the tokens; a request that names none means the first.
    pub(crate) resources: Vec<String>,
}

impl Grant {
    /// Returns the question to put to the daemon, or why there is none.
    fn admit(&self, op: Op) -> Result<Op, Failure> {
        match op {
            Op::Hello { .. } => Ok(Op::Hello { protocol: PROTOCOL }),
            Op::Token {
                profile,
                resource,
                min_valid,
                force: false,
                tool: _,
            } => Ok(Op::Token {
                profile: self.profile(profile)?,
                resource: Some(self.resource(resource.as_deref())?),
                min_valid: within(min_valid)?,
                force: false,
                tool: Some(TOOL.into()),
            }),
            Op::Credential { .. } => Err(refusal(
                "a forwarded socket knows resources and no rules: the helpers of git, docker and others get nothing there",
            )
            .hint("ciba token, or: ciba exec -- PROGRAM")),
            _ => Err(refusal("only tokens pass through a forwarded socket")),
        }
    }

    fn profile(&self, wanted: Option<ProfileName>) -> Result<Option<ProfileName>, Failure> {
        let granted = self.profile.clone().unwrap_or_default();
        if wanted.is_none_or(|wanted| wanted == granted) {
            Ok(self.profile.clone())
        } else {
            Err(refusal("the forwarded socket is for another login"))
        }
    }

    fn resource(&self, wanted: Option<&str>) -> Result<String, Failure> {
        let granted = match wanted {
            Some(wanted) => self.resources.iter().find(|resource| *resource == wanted),
            None => self.resources.first(),
        };
        granted
            .cloned()
            .ok_or_else(|| refusal("the forwarded socket does not give tokens of this resource"))
    }
}

fn within(min_valid: Option<u64>) -> Result<Option<u64>, Failure> {
    if min_valid.is_some_and(|seconds| seconds > MAX_MIN_VALID) {
        let message = format!("a forwarded socket promises a token for {MAX_MIN_VALID} s at most");
        return Err(refusal(message));
    }
    Ok(min_valid)
}

fn refusal(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::BadRequest, message)
}

/// The listening socket. It goes when this process ends, in whatever way.
pub(crate) struct Door(UnixListener);

impl Door {
    /// Listens at `path`, in a directory that is made if need be and is the user's alone (I-001).
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let uid = rustix::process::geteuid().as_raw();
        if !trust::has_directory(path, uid)? {
            let directory = path.parent().unwrap_or(path);
            let made = fs::DirBuilder::new().mode(0o700).create(directory);
            made.map_err(|error| not_opened(&error))?;
        }
        clear(path)?;
        let listener = UnixListener::bind(path).map_err(|error| not_opened(&error))?;
        let ready = fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .and_then(|()| listener.set_nonblocking(true));
        ready.map_err(|error| not_opened(&error))?;
        companion::start(path, None)?;
        Ok(Self(listener))
    }

    /// Serves until `deadline`, or for ever.
    pub(crate) fn serve(&self, grant: Grant, deadline: Option<Instant>) -> Result<(), Error> {
        let grant = Arc::new(grant);
        while let Some(stream) = self.accept(deadline).map_err(|error| not_opened(&error))? {
            // The one that is kept here is no connection.
            if Arc::strong_count(&grant) > MAX_CONNECTIONS {
                turn_away(stream);
                continue;
            }
            let grant = Arc::clone(&grant);
            thread::spawn(move || converse(stream, &grant));
        }
        Ok(())
    }

    /// Waits for a connection; `None` when the time is over.
    fn accept(&self, deadline: Option<Instant>) -> io::Result<Option<UnixStream>> {
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], left.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            match self.0.accept() {
                Ok((stream, _)) => return Ok(Some(stream)),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A client that has left again, or a signal.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::ConnectionAborted | ErrorKind::Interrupted
    )
}

/// Removes a socket that no process listens at. A living one, or a file, stays.
fn clear(path: &Path) -> Result<(), Error> {
    let refused = |error: &io::Error| error.kind() == ErrorKind::ConnectionRefused;
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if refused(&error) && is_socket(path) => {
            fs::remove_file(path).map_err(|error| not_opened(&error))
        }
        _ => Err(Error::usage("there is something else at the socket's path")),
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;

    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.file_type().is_socket())
}

fn not_opened(error: &io::Error) -> Error {
    Error::internal(format!("the socket cannot be served: {error}"))
}

fn turn_away(mut stream: UnixStream) {
    let busy = Failure::new(ErrorCode::Busy, "the forwarded socket takes no more connections");
    // The client may have left already.
    let _ = stream
        .set_nonblocking(true)
        .and_then(|()| stream.write_all(&encode_failure(&Id::Unknown, &busy)));
}

/// Answers one line after the other, until the client hangs up or breaks a limit.
fn converse(stream: UnixStream, grant: &Grant) {
    let uid = rustix::process::geteuid().as_raw();
    let Some(mut stream) = own(stream, uid) else {
        return;
    };
    let mut lines = Lines::default();
    while let Some(answer) = next(&mut stream, &mut lines, grant) {
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// Returns the connection when a process of this user is at its other end (I-002).
fn own(stream: UnixStream, uid: u32) -> Option<UnixStream> {
    stream.set_nonblocking(false).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let stream = Stream::UdSocket(stream.into());
    trust::check_peer(&stream, uid).ok()?;
    let Stream::UdSocket(stream) = stream;
    Some(std::os::fd::OwnedFd::from(stream).into())
}

/// Waits for a line and returns its answer; `None` when there is no more to come.
fn next(stream: &mut UnixStream, lines: &mut Lines, grant: &Grant) -> Option<Zeroizing<Vec<u8>>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(line) = lines.next_line() {
            return Some(answer(Request::decode(line), grant));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // A time of zero is refused: the deadline is over.
        stream.set_read_timeout(Some(left)).ok()?;
        match stream.read(lines.space().ok()?) {
            Ok(0) => return None,
            Ok(count) => lines.filled(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

fn answer(request: Result<Request, ipc_proto::BadRequest>, grant: &Grant) -> Zeroizing<Vec<u8>> {
    let Request { id, op } = match request {
        Ok(request) => request,
        Err(bad) => return encode_failure(&bad.id, &refusal(bad.to_string())),
    };
    let answered = grant
        .admit(op)
        .map_err(Error::from)
        .and_then(|op| pass_on(&id, op));
    match answered {
        Ok(line) => line,
        Err(error) => encode_failure(&id, error.failure().unwrap_or(&silent())),
    }
}

fn silent() -> Failure {
    Failure::new(ErrorCode::Internal, "cibad cannot be asked")
}

/// Asks the daemon what was admitted.
fn pass_on(id: &Id, op: Op) -> Result<Zeroizing<Vec<u8>>, Error> {
    if matches!(op, Op::Hello { .. }) {
        let hello: Hello = ask::whoever_serves(op, |connection, op| connection.ask(op, PATIENCE))?;
        return Ok(encode_answer(id, &hello));
    }
    let token: Token = ask::whoever_serves(op, |connection, op| connection.ask(op, PATIENCE))?;
    let fields = TokenFields {
        access_token: token.access_token.expose(),
        token_type: &token.token_type,
        resource: &token.resource,
        expires_at: token.expires_at,
        scope: token.scope.as_deref(),
    };
    Ok(encode_token(id, fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            profile: None,
            resources: vec!["urn:d:git".into(), "urn:d:x".into()],
        }
    }

    fn admitted(line: &str) -> Result<Op, ErrorCode> {
        let request = Request::decode(line.as_bytes()).map_err(|bad| bad.problem.code())?;
        grant().admit(request.op).map_err(|failure| failure.code)
    }

    #[test]
    fn a_request_is_held_to_the_named_resources() {
        let token = |resource: &str, min_valid| {
            Ok(Op::Token {
                profile: None,
                resource: Some(resource.into()),
                min_valid,
                force: false,
                tool: Some("forward".into()),
            })
        };
        assert_eq!(admitted(r#"{"id":1,"op":"token"}"#), token("urn:d:git", None));
        assert_eq!(
            admitted(
                r#"{"id":1,"op":"token","resource":"urn:d:x","profile":"default","min_valid":300,"tool":"git"}"#
            ),
            token("urn:d:x", Some(300))
        );
        assert_eq!(
            admitted(r#"{"id":1,"op":"hello","protocol":99}"#),
            Ok(Op::Hello { protocol: PROTOCOL })
        );
    }

    #[test]
    fn nothing_else_passes() {
        for op in [
            r#""token","resource":"urn:d:other""#,
            r#""token","resource":"urn:d:unified-gateway""#,
            r#""token","resource":"urn:d:git ""#,
            r#""token","resource":"""#,
            r#""token","resource":"urn:d:git","profile":"work""#,
            r#""token","resource":"urn:d:git","force":true"#,
            r#""token","resource":"urn:d:git","min_valid":301"#,
            r#""credential","url":"https://git.example.com","tool":"git""#,
            r#""refused","url":"https://git.example.com","tool":"git""#,
            r#""confirm","number":1,"allow":true"#,
            r#""configuration""#,
            r#""start","url":"https://c""#,
            r#""add","resource":"urn:d:git""#,
            r#""status""#,
            r#""stop""#,
            r#""watch""#,
            r#""diagnose""#,
            r#""hand_over""#,
            r#""shutdown""#,
        ] {
            let line = format!(r#"{{"id":1,"op":{op}}}"#);
            assert_eq!(admitted(&line), Err(ErrorCode::BadRequest), "{line}");
        }
    }

    #[test]
    fn i_002_a_client_of_another_user_is_not_heard() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let uid = rustix::process::geteuid().as_raw();
        assert!(own(ours.try_clone().unwrap(), uid).is_some());
        assert!(own(ours, uid + 1).is_none());
    }

    #[test]
    fn i_007_a_line_that_is_too_long_ends_the_conversation() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let serves = thread::spawn(move || converse(theirs, &grant()));
        let line = vec![b' '; ipc_proto::MAX_LINE + 1];
        ours.write_all(&line).unwrap();
        serves.join().unwrap();
    }

    #[test]
    fn a_socket_in_use_is_left_alone_and_a_dead_one_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        assert!(clear(&path).is_err());
        drop(listener);
        assert!(clear(&path).is_ok() && !path.exists());
        fs::write(&path, "a file").unwrap();
        assert!(clear(&path).is_err() && path.exists());
    }
}

//! The daemon that serves already, seen by one that has just started: whether it answers, which version it
//! is, and the request to hand over to the program that is installed now.

use std::io;
use std::path::Path;
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::tokio::Stream as _;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, ToFsName as _};
use ipc_proto::{Hello, Lines, Message, Op, PROTOCOL, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// Time for one answer.
const ANSWER: Duration = Duration::from_secs(1);

/// Another daemon, and it answers.
pub(crate) struct Incumbent {
    /// Unknown when it speaks another protocol.
    version: Option<String>,
}

impl Incumbent {
    /// Returns the daemon behind the socket if it says anything at all in time.
    pub(crate) async fn greet(socket: &Path) -> Option<Self> {
        let line = ask(socket, Op::Hello { protocol: PROTOCOL }).await?;
        let version = match Message::<Hello>::decode(&line) {
            Ok(Message::Answer(hello)) => Some(hello.version),
            _ => None,
        };
        Some(Self { version })
    }

    /// Whether it was built from another version than this program.
    pub(crate) fn is_other_version(&self) -> bool {
        self.version
            .as_deref()
            .is_some_and(|version| version != env!("CARGO_PKG_VERSION"))
    }
}

/// Asks the daemon behind the socket to become the program that is installed now. It knows best whether it
/// can; either way one of the two serves.
pub(crate) async fn ask_to_hand_over(socket: &Path) {
    let _ = ask(socket, Op::HandOver {}).await;
}

/// Whether a process listens there, whether it answers or not.
pub(crate) async fn listens(socket: &Path) -> bool {
    match connect(socket).await {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Sends one request; returns the first line of the answer, `None` when there is none in time.
async fn ask(socket: &Path, op: Op) -> Option<Vec<u8>> {
    let answer = timeout(ANSWER, async {
        let stream = connect(socket).await?;
        let request = Request { id: 0.into(), op };
        (&stream).write_all(&request.encode()).await?;
        read_line(&stream).await
    });
    answer.await.ok()?.ok()
}

async fn connect(socket: &Path) -> io::Result<Stream> {
    let name = socket.to_fs_name::<GenericFilePath>()?;
    Stream::from_options(&ConnectOptions::new().name(name)).await
}

async fn read_line(mut stream: &Stream) -> io::Result<Vec<u8>> {
    let mut lines = Lines::default();
    loop {
        if let Some(line) = lines.next_line() {
            return Ok(line.to_vec());
        }
        let space = lines.space().map_err(io::Error::other)?;
        let count = stream.read(space).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        lines.filled(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_that_is_known_can_be_another() {
        let version = |text: Option<&str>| Incumbent {
            version: text.map(Into::into),
        };
        assert!(version(Some("0.0.1")).is_other_version());
        assert!(!version(Some(env!("CARGO_PKG_VERSION"))).is_other_version());
        assert!(!version(None).is_other_version());
    }
}

//! What this client trusts: a socket in a directory of the user's own (I-001) and a process of the same user behind
//! that socket (I-002). To anything else it writes no byte.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use interprocess::local_socket::Stream;
use interprocess::local_socket::traits::StreamCommon as _;
use ipc_proto::{DirectoryFacts, DirectoryProblem, ErrorCode, Failure};

use crate::error::Error;

/// Whether the socket's directory exists; an error when it is not the user's own (I-001).
pub(crate) fn has_directory(socket: &Path, uid: u32) -> Result<bool, Error> {
    let directory = directory(socket);
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

/// Returns the directory that a socket lies in.
fn directory(socket: &Path) -> &Path {
    match socket.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
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

/// Refuses a socket behind which another user listens, before a byte is written (I-002).
pub(crate) fn check_peer(stream: &Stream, uid: u32) -> Result<(), Error> {
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

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

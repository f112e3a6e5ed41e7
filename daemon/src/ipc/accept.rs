//! Accepts connections: of this user alone (I-002), and so many at once (I-007).

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::StreamCommon as _;
use interprocess::local_socket::traits::tokio::Listener as _;
use ipc_proto::{ErrorCode, Failure, Id, encode_failure};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::{Context, serve};

/// Connections at once (I-007).
const MAX_CONNECTIONS: usize = 256;

/// Pause after a failed accept. The cause is a lack of descriptors or memory, which time alone cures.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections of the user `uid` until the shutdown begins; each lives in a task of its own.
pub(crate) async fn accept(listener: &Listener, uid: u32, context: &Context, tasks: &TaskTracker) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = context.shutdown.begun() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) if is_user(&stream, uid) => admit(stream, &permits, context, tasks),
            Ok(_) => warn!("a client of another user was turned away"),
            Err(error) => {
                if !failing {
                    warn!(%error, "cannot accept connections");
                }
                failing = true;
                sleep(PAUSE).await;
                continue;
            }
        }
        failing = false;
    }
}

/// Asked of the kernel before a byte is read (I-002).
fn is_user(stream: &Stream, uid: u32) -> bool {
    stream.peer_creds().is_ok_and(|peer| peer.euid() == Some(uid))
}

fn admit(stream: Stream, permits: &Arc<Semaphore>, context: &Context, tasks: &TaskTracker) {
    let Ok(permit) = Arc::clone(permits).try_acquire_owned() else {
        return refuse(&stream);
    };
    let context = context.clone();
    tasks.spawn(async move {
        serve::serve(&stream, &context).await;
        drop(permit);
    });
}

/// Says `busy` and closes. The line fits into a fresh socket's buffer, so nothing waits for the client.
fn refuse(mut stream: &Stream) {
    debug!("too many connections");
    let failure = Failure::new(ErrorCode::Busy, "too many connections at once");
    let line = encode_failure(&Id::Unknown, &failure);
    let _ = stream.write_all(&line).now_or_never();
}

#[cfg(test)]
mod tests {
    use interprocess::os::unix::uds_local_socket::tokio::Stream as UnixStream;

    use super::*;

    #[tokio::test]
    async fn i_002_only_the_expected_user_is_let_in() {
        let (ours, _theirs) = tokio::net::UnixStream::pair().unwrap();
        let stream = Stream::from(UnixStream::from(ours));
        let me = rustix::process::geteuid().as_raw();
        assert!(is_user(&stream, me));
        assert!(!is_user(&stream, me + 1));
    }
}

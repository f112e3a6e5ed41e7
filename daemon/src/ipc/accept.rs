//! Accepts connections: of this user alone (I-002), and so many at once (I-007).

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::tokio::Listener as _;
use ipc_proto::{ErrorCode, Failure, Id, encode_failure};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::caller::Caller;
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
            Ok(stream) => match Caller::of_user(&stream, uid) {
                Some(caller) => admit(stream, caller, &permits, context, tasks),
                None => warn!("a client of another user was turned away"),
            },
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

fn admit(stream: Stream, caller: Caller, permits: &Arc<Semaphore>, context: &Context, tasks: &TaskTracker) {
    let Ok(permit) = Arc::clone(permits).try_acquire_owned() else {
        return refuse(&stream);
    };
    let context = context.clone();
    tasks.spawn(async move {
        serve::serve(&stream, &caller, &context).await;
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

//! When a client is gone: it has closed both directions, not only the one it speaks in.

use std::io;
use std::os::fd::AsFd as _;

use interprocess::local_socket::tokio::Stream;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Returns when the client cannot read an answer any more.
pub(super) async fn hangup(stream: &Stream) {
    // An error means that there is nothing to watch, which is the same to the caller.
    let _ = watch(stream).await;
}

/// Watches a descriptor of its own: readiness taken away here must not be missed by the writer.
async fn watch(stream: &Stream) -> io::Result<()> {
    let Stream::UdSocket(socket) = stream;
    let descriptor = socket.as_fd().try_clone_to_owned()?;
    let watched = UnixStream::from_std(descriptor.into())?;
    while !watched.ready(Interest::WRITABLE).await?.is_write_closed() {
        let not_that = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = watched.try_io(Interest::WRITABLE, not_that);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use interprocess::os::unix::uds_local_socket::tokio as uds;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_client_that_only_stopped_speaking_is_not_gone() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let stream = Stream::from(uds::Stream::from(ours));
        let mut gone = Box::pin(hangup(&stream));
        theirs.shutdown().await.unwrap();
        for _ in 0..3 {
            tokio::task::yield_now().await;
            assert!((&mut gone).now_or_never().is_none());
        }
        // Watching takes nothing away from the writer.
        (&stream).write_all(b"an answer").await.unwrap();
        drop(theirs);
        gone.await;
    }
}

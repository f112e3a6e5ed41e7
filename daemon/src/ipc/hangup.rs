//! When a client is gone: it has closed both directions, not only the one it speaks in.

use std::io;
use std::os::fd::AsFd as _;

use interprocess::local_socket::tokio::Stream;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Returns when nobody can read an answer any more.
pub(super) async fn hangup(stream: &Stream) {
    // An error means that there is nothing to watch, which is the same to the caller.
    let _ = watch(stream).await;
}

/// Watches a descriptor of its own: readiness taken away here must not be missed by whoever writes.
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

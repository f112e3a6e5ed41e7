//! The accept loops: one connection a task, with or without TLS, and an orderly end.

use std::net::SocketAddr;
use std::time::Duration;

use axum::{Extension, Router};
use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{Connection, Protocol};
use crate::shutdown::Shutdown;
use crate::tls::Certificate;

/// How long a client may take for its TLS handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// How long requests may go on after the server was told to leave: an answer of the identity provider, and keeping it.
const GRACE: Duration = Duration::from_secs(15);

/// Connections at once, devices' sockets among them; more are closed unheard.
const MAX_CONNECTIONS: usize = 65_536;

/// How long to wait after a failed accept: usually there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the server waits for before it is gone.
#[derive(Clone, Default)]
pub(crate) struct Work {
    /// Connections, and the WebSockets that some of them became.
    pub(crate) connections: TaskTracker,
    /// What has to be finished even when the client that asked has left.
    pub(crate) tasks: TaskTracker,
}

/// A listener, and what is behind it.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) router: Router,
    /// `None`: plain HTTP.
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Serves until told to leave, then lets what has begun come to its end.
pub(crate) async fn serve(doors: Vec<Door>, shutdown: &Shutdown, work: &Work) {
    join_all(doors.into_iter().map(|door| door.serve(shutdown, work))).await;
    tokio::select! {
        () = work.finished() => {}
        () = tokio::time::sleep(GRACE) => tracing::warn!("some requests did not end in time"),
        () = shutdown.forced().cancelled() => tracing::warn!("left at once"),
    }
}

impl Door {
    /// Takes connections until told to leave.
    async fn serve(self, shutdown: &Shutdown, work: &Work) {
        let mut is_full = false;
        while let Some(accepted) = shutdown.begun().run_until_cancelled(self.listener.accept()).await {
            match accepted {
                Ok((stream, address)) if work.connections.len() < MAX_CONNECTIONS => {
                    is_full = false;
                    self.open(stream, address, shutdown.begun().clone(), work);
                }
                Ok(_) if is_full => {}
                Ok(_) => {
                    is_full = true;
                    tracing::warn!(MAX_CONNECTIONS, "no more connections are taken");
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Begins a connection in a task of its own. A plain one is not charged for what TLS needs.
    fn open(&self, stream: TcpStream, address: SocketAddr, leaving: CancellationToken, work: &Work) {
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            stream,
            address,
            router: self.router.clone(),
        };
        let tasks = work.connections.clone();
        drop(match self.tls.clone() {
            None => work.connections.spawn(plain(connection, leaving, tasks)),
            Some(tls) => work.connections.spawn(secured(tls, connection, leaving, tasks)),
        });
    }
}

impl Work {
    async fn finished(&self) {
        self.connections.close();
        self.connections.wait().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Serves a connection without TLS, once it has said what it speaks.
async fn plain(connection: Connection<TcpStream>, leaving: CancellationToken, tasks: TaskTracker) {
    let said = leaving.run_until_cancelled(Protocol::of(&connection.stream));
    if let Some(Some(protocol)) = said.await {
        connection.serve(protocol, leaving, &tasks).await;
    }
}

/// Shakes hands, then serves. The client's certificate, if it has shown one, is told to every request.
async fn secured(
    tls: TlsAcceptor,
    connection: Connection<TcpStream>,
    leaving: CancellationToken,
    tasks: TaskTracker,
) {
    let handshake = tokio::time::timeout(HANDSHAKE_WITHIN, tls.accept(connection.stream));
    let stream = match leaving.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => stream,
        Some(Ok(Err(error))) => return tracing::debug!(%error, "no TLS was spoken"),
        Some(Err(_)) => return tracing::debug!("a TLS handshake took too long"),
        None => return,
    };
    let agreed = stream.get_ref().1;
    let protocol = Protocol::agreed(agreed.alpn_protocol());
    let router = match Certificate::shown(agreed) {
        Some(certificate) => connection.router.layer(Extension(certificate)),
        None => connection.router,
    };
    let connection = Connection {
        stream,
        address: connection.address,
        router,
    };
    Box::pin(connection.serve(protocol, leaving, &tasks)).await;
}

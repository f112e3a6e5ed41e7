//! The accept loop: one HTTP/1.1 connection a task, each with its limits, and an orderly end.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tower_http::timeout::TimeoutBody;

use crate::shutdown::Shutdown;

/// How long a client may take to send a request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// How long a client may pause while it sends a request's body.
const BODY_PAUSE: Duration = Duration::from_secs(10);

/// Bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

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

/// Serves until told to leave, then lets what has begun come to its end.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: &Shutdown, work: &Work) {
    let mut is_full = false;
    while let Some(accepted) = shutdown.begun().run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, address)) if work.connections.len() < MAX_CONNECTIONS => {
                is_full = false;
                let served = connection(stream, address, router.clone(), shutdown.begun().clone());
                drop(work.connections.spawn(served));
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
    drop(listener);
    tokio::select! {
        () = work.finished() => {}
        () = tokio::time::sleep(GRACE) => tracing::warn!("some requests did not end in time"),
        () = shutdown.forced().cancelled() => tracing::warn!("left at once"),
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

async fn connection(stream: TcpStream, address: SocketAddr, router: Router, leaving: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        request.map(|body| Body::new(TimeoutBody::new(BODY_PAUSE, body)))
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = leaving.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

//! One connection, from its first byte to its last: HTTP/1.1 or HTTP/2 (RFC 9113), each request with its limits.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tower_http::timeout::TimeoutBody;

/// How long a client may take to send a request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// How long a client may pause while it sends a request's body.
const BODY_PAUSE: Duration = Duration::from_secs(10);

/// Bytes of a request's head.
const MAX_HEAD: u32 = 16 * 1024;

/// Requests under way on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;

/// Bytes of one request's body that an HTTP/2 client may send before they are read.
const WINDOW: u32 = 64 * 1024;

/// Bytes of all bodies that an HTTP/2 client may send before they are read.
const WINDOW_OF_ALL: u32 = 256 * 1024;

/// How long an HTTP/2 client may ask for nothing before it has to connect again.
const QUIET: Duration = Duration::from_secs(60);

/// How long an HTTP/2 client that has nothing under way may take to leave, once it was told to.
const LEAVES_WITHIN: Duration = Duration::from_secs(2);

/// How often an HTTP/2 client is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);

/// How long an HTTP/2 client may take to answer that.
const PONG_WITHIN: Duration = Duration::from_secs(10);

/// What every HTTP/2 connection begins with (RFC 9113 §3.4), as far as no HTTP/1.1 request does.
const PREFACE: &[u8] = b"PRI";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    /// Sees from a client's first bytes what it speaks; `None`: it sent nothing in time.
    pub(crate) async fn of(stream: &TcpStream) -> Option<Self> {
        let mut first = [0; PREFACE.len()];
        let peeked = tokio::time::timeout(HEAD_WITHIN, stream.peek(&mut first)).await;
        let count = peeked.ok()?.ok().filter(|count| *count > 0)?;
        Some(Self::http2_if(&first[..count] == PREFACE))
    }

    /// Returns what client and server agreed upon in their TLS handshake (RFC 7301), if anything.
    pub(crate) fn agreed(alpn: Option<&[u8]>) -> Self {
        Self::http2_if(alpn == Some(b"h2"))
    }

    fn http2_if(is_http2: bool) -> Self {
        if is_http2 { Self::Http2 } else { Self::Http1 }
    }
}

/// A client's connection, accepted and not yet served.
pub(crate) struct Connection<S> {
    pub(crate) stream: S,
    pub(crate) address: SocketAddr,
    pub(crate) router: Router,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<S> {
    /// Serves until the client or the server leaves. Requests that have begun come to their end.
    pub(crate) async fn serve(self, protocol: Protocol, leaving: CancellationToken, tasks: &TaskTracker) {
        let ended = match protocol {
            Protocol::Http1 => self.http1(leaving).await,
            // An HTTP/1.1 connection is not charged for it.
            Protocol::Http2 => Box::pin(self.http2(leaving, tasks.clone())).await,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }

    async fn http1(self, leaving: CancellationToken) -> hyper::Result<()> {
        let answer = move |request| answer(self.router.clone(), self.address, request);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(MAX_HEAD as usize)
            .serve_connection(TokioIo::new(self.stream), service_fn(answer))
            .with_upgrades();
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = leaving.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }

    async fn http2(self, leaving: CancellationToken, tasks: TaskTracker) -> hyper::Result<()> {
        let under_way = watch::Sender::new(0);
        let counted = under_way.clone();
        let answer = move |request| {
            let one = One::more(&counted);
            let answer = answer(self.router.clone(), self.address, request);
            async move {
                let answered = answer.await;
                drop(one);
                answered
            }
        };
        let connection = http2::Builder::new(Spawn(tasks))
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW_OF_ALL)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_WITHIN)
            .serve_connection(TokioIo::new(self.stream), service_fn(answer));
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = leaving.cancelled() => {}
            () = quiet(&under_way, QUIET) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection => ended,
            // Not even its preface may be complete.
            () = quiet(&under_way, LEAVES_WITHIN) => Ok(()),
        }
    }
}

async fn answer(
    router: Router,
    address: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response, Infallible> {
    request.extensions_mut().insert(ConnectInfo(address));
    let request = request.map(|body| Body::new(TimeoutBody::new(BODY_PAUSE, body)));
    router.oneshot(request).await
}

/// One request under way.
struct One(watch::Sender<usize>);

impl One {
    fn more(under_way: &watch::Sender<usize>) -> Self {
        under_way.send_modify(|count| *count += 1);
        Self(under_way.clone())
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Waits until there was no request for so long. HTTP/1.1 does that with the wait for the next head.
async fn quiet(under_way: &watch::Sender<usize>, long: Duration) {
    let mut under_way = under_way.subscribe();
    loop {
        let _ = under_way.wait_for(|count| *count == 0).await;
        if tokio::time::timeout(long, under_way.changed()).await.is_err() {
            return;
        }
    }
}

/// Runs the requests of HTTP/2 connections, each in a task that the server waits for.
#[derive(Clone)]
struct Spawn(TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, request: F) {
        drop(self.0.spawn(request));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_speaks_what_was_agreed_upon() {
        assert_eq!(Protocol::agreed(Some(b"h2")), Protocol::Http2);
        for other in [Some(&b"http/1.1"[..]), None] {
            assert_eq!(Protocol::agreed(other), Protocol::Http1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_quiet_once_nothing_was_asked_for_a_while() {
        let under_way = watch::Sender::new(0);
        let began = tokio::time::Instant::now();
        let later = async {
            let one = One::more(&under_way);
            tokio::time::sleep(QUIET * 3).await;
            drop(one);
        };
        tokio::join!(quiet(&under_way, QUIET), later);
        assert_eq!(began.elapsed(), QUIET * 4);
    }
}

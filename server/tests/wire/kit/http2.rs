//! A client of one HTTP/2 connection.

use axum::body::Body;
use http::request::Builder;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::in_time;

/// A connection.
pub(crate) struct Http2 {
    requests: SendRequest<Body>,
    /// Ends with the connection.
    pub(crate) connection: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    /// Connects without TLS.
    pub(crate) async fn connect(address: &str) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    /// Begins with what is connected.
    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let begun = handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (requests, connection) = in_time(begun).await.unwrap();
        Self {
            requests,
            connection: tokio::spawn(connection),
        }
    }

    /// Sends a request; what is returned has the answer.
    pub(crate) async fn send(
        &mut self,
        request: Builder,
        body: Vec<u8>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        let request: Request<Body> = request.body(Body::from(body)).unwrap();
        in_time(self.requests.ready()).await.unwrap();
        self.requests.send_request(request)
    }

    pub(crate) async fn get(&mut self, url: &str) -> Response<Incoming> {
        let sent = self.send(Request::get(url), Vec::new()).await;
        in_time(sent).await.unwrap()
    }
}

//! A client of a provider over one HTTP/2 connection, which its requests share.

use anyhow::{Context, Result};
use axum::body::Body;
use http::Request;
use http::header::CONTENT_TYPE;
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// One connection; a handle that is cheap to clone.
#[derive(Clone)]
pub(super) struct Streams {
    requests: SendRequest<Body>,
    host: String,
}

impl Streams {
    pub(super) async fn connect(host: &str) -> Result<Self> {
        let stream = TcpStream::connect(host).await.context("connecting")?;
        let (requests, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        drop(tokio::spawn(connection));
        Ok(Self {
            requests,
            host: host.to_owned(),
        })
    }

    /// Posts a form. What is returned has the answer, which may come much later.
    pub(super) async fn send(
        &mut self,
        path: &str,
        form: String,
    ) -> Result<impl Future<Output = hyper::Result<http::Response<Incoming>>> + use<>> {
        let request = Request::post(format!("http://{}{path}", self.host))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form))?;
        self.requests.ready().await?;
        Ok(self.requests.send_request(request))
    }
}

//! For tests: an HTTP(S) server on loopback in place of one that a client or the operator hosts. It gives the answers that
//! the test wrote down, and keeps what it was sent.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use ciba_tests::TlsListener;
use futures_util::StreamExt as _;
use http::{HeaderMap, Method, StatusCode, Uri};
use tokio::net::TcpListener;
use url::Url;

/// How it answers one request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// A status without a body.
    Status(u16),
    /// A status with a header.
    Header(u16, &'static str, String),
    /// A status with a body.
    Text(u16, &'static str),
    /// 200 with a body that has no end.
    Endless,
    /// Never.
    Silence,
}

/// A request as it came.
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The server; a handle.
#[derive(Clone)]
pub(crate) struct StandIn {
    /// Its URL on `localhost`.
    pub(crate) url: Url,
    /// Its certificate's authority as PEM; empty without TLS.
    pub(crate) authority: String,
    script: Arc<Script>,
}

#[derive(Default)]
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
}

impl StandIn {
    /// Serves http. The last reply is given again and again.
    pub(crate) async fn http(replies: impl Into<VecDeque<Reply>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        Self::serve(listener, &url, String::new(), replies.into())
    }

    /// Serves https with an authority of its own.
    pub(crate) async fn https(replies: impl Into<VecDeque<Reply>>) -> Self {
        let listener = TlsListener::bind().await.unwrap();
        let url = format!("https://localhost:{}/", listener.port);
        let authority = listener.authority.clone();
        Self::serve(listener, &url, authority, replies.into())
    }

    fn serve<L>(listener: L, url: &str, authority: String, replies: VecDeque<Reply>) -> Self
    where
        L: axum::serve::Listener,
        L::Addr: std::fmt::Debug,
    {
        let script = Arc::new(Script {
            replies: Mutex::new(replies),
            ..Script::default()
        });
        let routes = Router::new().fallback(answer).with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self {
            url: Url::parse(url).unwrap(),
            authority,
            script,
        }
    }

    /// Takes what has been received since the last call.
    pub(crate) fn received(&self) -> Vec<Received> {
        let mut received = self
            .script
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut received)
    }
}

async fn answer(
    State(script): State<Arc<Script>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let received = Received {
        method,
        uri,
        headers,
        body,
    };
    script.received.lock().unwrap().push(received);
    let reply = {
        let mut replies = script.replies.lock().unwrap();
        let next = (replies.len() > 1).then(|| replies.pop_front()).flatten();
        next.or_else(|| replies.front().cloned())
    };
    match reply.expect("a test has at least one reply") {
        Reply::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Reply::Header(status, name, value) => {
            (StatusCode::from_u16(status).unwrap(), [(name, value)]).into_response()
        }
        Reply::Text(status, text) => (StatusCode::from_u16(status).unwrap(), text).into_response(),
        Reply::Endless => Body::from_stream(endless()).into_response(),
        Reply::Silence => pending().await,
    }
}

fn endless() -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    let chunk = Bytes::from_static(&[b'x'; 16 * 1024]);
    // A pause in between lets a runtime of one thread go on.
    futures_util::stream::repeat(chunk).then(|chunk| async {
        tokio::time::sleep(Duration::from_micros(1)).await;
        Ok(chunk)
    })
}

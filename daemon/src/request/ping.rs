//! The listener for the provider's ping (CIBA Core §10.2): a loopback address behind the public URL that the client has
//! registered. It takes one kind of message and believes none that does not show the token that only the provider knows.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ipc_proto::SecretText;
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use super::error::RequestError;

/// Bytes of the token that the provider shows: twice the 128 bits that CIBA Core §7.1 asks for.
const TOKEN: usize = 32;

/// Bytes of a ping: an identifier of 1024 characters, and its frame.
const MAX_PING: usize = 4 * 1024;

/// Time for one connection, from its first byte to its last.
const DEADLINE: Duration = Duration::from_secs(10);

/// Connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 16;

/// The pause after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Where pings arrive. Dropping it closes the address.
pub(super) struct Pings {
    expected: Arc<Expected>,
    _serving: JoinSet<()>,
}

struct Expected {
    token: Zeroizing<String>,
    /// Known once the provider has acknowledged the request.
    auth_req_id: OnceLock<Zeroizing<String>>,
    arrived: Notify,
}

#[derive(Deserialize)]
struct Ping {
    auth_req_id: SecretText,
}

impl Pings {
    /// Listens at an address of this machine.
    pub(super) async fn listen(address: SocketAddr) -> Result<Self, RequestError> {
        if !address.ip().is_loopback() {
            return Err(RequestError::Parameter(
                "the ping's address is not of this machine alone: give 127.0.0.1:PORT or [::1]:PORT, behind the public URL",
            ));
        }
        let mut token = Zeroizing::new([0; TOKEN]);
        getrandom::fill(&mut *token).map_err(|_| RequestError::NoRandom)?;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| RequestError::Listen(error.kind()))?;
        let expected = Arc::new(Expected {
            token: Zeroizing::new(Base64UrlUnpadded::encode_string(&*token)),
            auth_req_id: OnceLock::new(),
            arrived: Notify::new(),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&expected)));
        Ok(Self {
            expected,
            _serving: serving,
        })
    }

    /// Returns the `client_notification_token`.
    pub(super) fn token(&self) -> &str {
        &self.expected.token
    }

    /// Says which request the pings are about.
    pub(super) fn expect(&self, auth_req_id: &str) {
        // There is one acknowledgement.
        let _ = self.expected.auth_req_id.set(Zeroizing::new(auth_req_id.into()));
    }

    /// Waits for a ping. One that came before is not lost.
    pub(super) async fn arrived(&self) {
        self.expected.arrived.notified().await;
    }
}

async fn serve(listener: TcpListener, expected: Arc<Expected>) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(timeout(DEADLINE, connection(stream, Arc::clone(&expected))));
            }
            // No descriptor is free.
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn connection(stream: TcpStream, expected: Arc<Expected>) {
    let answer = service_fn(|request| {
        let expected = Arc::clone(&expected);
        async move { Ok::<_, Infallible>(respond(request, &expected).await) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    // What goes wrong here is the other side's.
    let _ = connection.await;
}

async fn respond(request: Request<Incoming>, expected: &Expected) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status(request, expected).await;
    response
}

async fn status(request: Request<Incoming>, expected: &Expected) -> StatusCode {
    if request.method() != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED;
    }
    if !expected.has_shown_token(request.headers()) {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(body) = Limited::new(request.into_body(), MAX_PING).collect().await else {
        return StatusCode::PAYLOAD_TOO_LARGE;
    };
    match serde_json::from_slice::<Ping>(&body.to_bytes()) {
        Ok(ping) if expected.is_about(&ping) => {
            expected.arrived.notify_one();
            StatusCode::NO_CONTENT
        }
        _ => StatusCode::BAD_REQUEST,
    }
}

impl Expected {
    fn has_shown_token(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
        let token = shown.and_then(|shown| shown.split_at_checked("Bearer ".len()));
        token.is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case(b"Bearer ") && token.ct_eq(self.token.as_bytes()).into()
        })
    }

    /// Whether it is about this request. While the acknowledgement is on its way, what shows the token is believed.
    fn is_about(&self, ping: &Ping) -> bool {
        let known = self.auth_req_id.get();
        known.is_none_or(|known| {
            ping.auth_req_id
                .expose()
                .as_bytes()
                .ct_eq(known.as_bytes())
                .into()
        })
    }
}

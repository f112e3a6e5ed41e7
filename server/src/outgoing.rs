//! The HTTP client for what the server itself asks of others: every call has a deadline, every answer a limit, and no
//! redirect is followed.

use std::time::Duration;

use http::StatusCode;
use thiserror::Error;
use url::Url;

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long an answer may take, the connection included.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 1024 * 1024;

/// An answer, read to its end.
pub(crate) type Answer = http::Response<Vec<u8>>;

/// A client for one peer and the URLs that the peer names.
pub(crate) struct Http(reqwest::Client);

impl Http {
    /// Makes the client of a peer. If the peer's own URL is https, so is every URL that it names.
    pub(crate) fn new(peer: &Url) -> Result<Self, CallError> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            // A redirect could lead a secret somewhere else.
            .redirect(reqwest::redirect::Policy::none())
            .https_only(peer.scheme() == "https")
            .build();
        client.map(Self).map_err(|_| CallError::Certificates)
    }

    /// Begins a POST request.
    pub(crate) fn post(&self, to: Url) -> reqwest::RequestBuilder {
        self.0.post(to)
    }

    /// Sends a request. An answer that says that the peer is down or busy is an error.
    pub(crate) async fn fetch(&self, request: reqwest::Request) -> Result<Answer, CallError> {
        let mut response = self.0.execute(request).await?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(CallError::Down(status.as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(CallError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = Answer::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

/// Why a call got no answer.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    /// No client could be made.
    #[error("the system's certificates cannot be read")]
    Certificates,
    /// No answer came, or not all of it.
    #[error("{}", plain(.0))]
    Http(#[from] reqwest::Error),
    /// The answer has more bytes than are read.
    #[error("the answer is too long")]
    TooLong,
    /// The peer is down or busy; its status.
    #[error("it answers {0}")]
    Down(u16),
}

/// Returns what broke a call, in words. The URL is left out: its query may be a secret.
fn plain(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "it does not answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}

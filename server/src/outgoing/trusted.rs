//! The HTTP client for a peer that the operator named, such as the identity provider: every call has a deadline, every
//! answer a limit, and no redirect is followed.

use std::time::Duration;

use http::StatusCode;
use url::Url;

use super::{Answer, Authorities, CallError, read};

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long an answer may take, the connection included.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 1024 * 1024;

/// A client for one peer and the URLs that the peer names.
pub(crate) struct Http(reqwest::Client);

impl Http {
    /// Makes the client of a peer. If the peer's own URL is https, so is every URL that it names.
    pub(crate) fn new(peer: &Url) -> Result<Self, CallError> {
        Self::trusting(&Authorities::default(), peer)
    }

    /// Makes the client of a peer whose certificate may be of one of these authorities.
    pub(crate) fn trusting(authorities: &Authorities, peer: &Url) -> Result<Self, CallError> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            // A redirect could lead a secret somewhere else.
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_merge(authorities.certificates())
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
        let response = self.0.execute(request).await?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(CallError::Down(status.as_u16()));
        }
        read(response, MAX_ANSWER).await
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::response::Redirect;
    use axum::routing::post;
    use tokio::net::TcpListener;

    use super::*;

    /// Serves `routes` and returns their URL, and a client for it.
    async fn peer(routes: Router) -> (Url, Http) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let url = Url::parse(&url).unwrap();
        let http = Http::new(&url).unwrap();
        (url, http)
    }

    async fn called(http: &Http, url: &Url, path: &str) -> Result<Answer, CallError> {
        let request = http.post(url.join(path).unwrap()).build().unwrap();
        http.fetch(request).await
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_limit_and_no_further() {
        let routes = Router::new()
            .route("/longest", post(|| async { vec![0; MAX_ANSWER] }))
            .route("/longer", post(|| async { vec![0; MAX_ANSWER + 1] }));
        let (url, http) = peer(routes).await;
        assert_eq!(
            called(&http, &url, "longest").await.unwrap().body().len(),
            MAX_ANSWER
        );
        let longer = called(&http, &url, "longer").await;
        assert!(matches!(longer, Err(CallError::TooLong)), "{longer:?}");
    }

    #[tokio::test]
    async fn no_redirect_is_followed_and_a_peer_that_is_down_gives_no_answer() {
        let routes = Router::new()
            .route("/", post(|| async { "elsewhere" }))
            .route("/moved", post(|| async { Redirect::temporary("/") }))
            .route("/down", post(|| async { StatusCode::BAD_GATEWAY }))
            .route("/busy", post(|| async { StatusCode::TOO_MANY_REQUESTS }))
            .route("/no", post(|| async { StatusCode::BAD_REQUEST }));
        let (url, http) = peer(routes).await;
        for (path, status) in [("moved", 307), ("no", 400)] {
            assert_eq!(called(&http, &url, path).await.unwrap().status().as_u16(), status);
        }
        for (path, status) in [("down", 502), ("busy", 429)] {
            let down = called(&http, &url, path).await;
            assert!(
                matches!(down, Err(CallError::Down(told)) if told == status),
                "{down:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_an_https_peer_names_is_asked_over_https_alone_and_no_error_has_its_url() {
        let (url, _) = peer(Router::new().route("/", post(|| async { "plain" }))).await;
        let http = Http::new(&Url::parse("https://id.example").unwrap()).unwrap();
        let refused = called(&http, &url, "?secret=x").await.unwrap_err();
        assert_eq!(refused.to_string(), "the connection broke");
    }
}

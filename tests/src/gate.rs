//! A service that wants a token: an HTTP(S) server on loopback, for tests of the tools that we give tokens to.
//!
//! It lets a request through to its [`Service`] when the request carries a token of one issuer that has not expired and
//! was not revoked, as Bearer or as Basic as the gate was told to offer. Everything else is answered 401 with a challenge
//! for each scheme. Every request is kept with its `Authorization` header, so a test can say which token went where.
//!
//! ```no_run
//! # async fn example(server: ciba_tests::Server, root: std::path::PathBuf) -> anyhow::Result<()> {
//! use ciba_tests::{Gate, Offer, Service};
//! let gate = Gate::start(&server.url, Offer::Both, Service::Files(root)).await?;
//! // … a tool asks for `{gate.url}/index.html` …
//! gate.revoke(gate.tokens().last().expect("a token came"));
//! # Ok(()) }
//! ```

mod cgi;
mod tls;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode, request};
use axum::response::{IntoResponse, Response};
use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub use self::tls::{Authority, Certified, Listener as TlsListener};
use crate::wait::{PATIENCE, until};

/// Bytes of a request's body.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// The schemes that a gate takes and offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// RFC 6750.
    Bearer,
    /// RFC 7617, with the token as the password of any user.
    Basic,
    /// Bearer first, and Basic.
    Both,
    /// None: the service itself looks at every request.
    Open,
}

/// Answers a request by its head and body.
pub type Answer = Box<dyn Fn(&request::Parts, &[u8]) -> Response + Send + Sync>;

/// What lies behind a gate.
pub enum Service {
    /// The files below a directory.
    Files(PathBuf),
    /// The bare repositories below a directory, by `git http-backend`.
    Git(PathBuf),
    /// A function of the test's.
    Function(Answer),
}

/// A request as it came, and how it was answered.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET`, `POST` …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The value of the header, if there was one.
    pub authorization: Option<String>,
    /// The status of the answer.
    pub status: u16,
}

/// A running gate; it ends when it is dropped.
pub struct Gate {
    /// Where it is, without a slash at the end.
    pub url: String,
    /// Its port.
    pub port: u16,
    /// The authority that vouches for it, as PEM; empty without TLS.
    pub authority: String,
    shared: Arc<Shared>,
    serving: AbortHandle,
}

struct Shared {
    issuer: String,
    offer: Offer,
    service: Service,
    state: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    seen: Vec<Seen>,
    revoked: BTreeSet<String>,
    /// Where everything leads, instead of to the service.
    redirect: Option<String>,
}

impl Gate {
    /// Serves on `http://127.0.0.1:PORT` what wants a token whose issuer (`iss`) begins with `issuer`.
    pub async fn start(issuer: &str, offer: Offer, service: Service) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shared = Shared::new(issuer, offer, service);
        Ok(Self {
            url: format!("http://127.0.0.1:{port}"),
            port,
            authority: String::new(),
            serving: serve(listener, Arc::clone(&shared)),
            shared,
        })
    }

    /// Serves the same on `https://localhost:PORT`, with a certificate of an authority of its own.
    pub async fn start_tls(issuer: &str, offer: Offer, service: Service) -> Result<Self> {
        let listener = tls::Listener::bind().await?;
        Ok(Self::behind(listener, issuer, offer, service))
    }

    /// Serves the same behind a listener of a name and an authority that the test has chosen.
    pub fn behind(listener: TlsListener, issuer: &str, offer: Offer, service: Service) -> Self {
        let (port, authority) = (listener.port, listener.authority.clone());
        let shared = Shared::new(issuer, offer, service);
        Self {
            url: format!("https://localhost:{port}"),
            port,
            authority,
            serving: serve(listener, Arc::clone(&shared)),
            shared,
        }
    }

    /// Returns the host and the port, as a URL has them.
    pub fn host(&self) -> &str {
        self.url.split_once("://").map_or("", |(_, host)| host)
    }

    /// Refuses a token from now on.
    pub fn revoke(&self, token: &str) {
        self.shared.state().revoked.insert(token.to_owned());
    }

    /// Refuses from now on what it was shown so far.
    pub fn revoke_all(&self) {
        let shown = self.tokens();
        self.shared.state().revoked.extend(shown);
    }

    /// Waits until the token that it was shown last has ended.
    pub async fn until_ended(&self) -> Result<()> {
        let shown = self.tokens();
        let claims = shown.last().and_then(|token| claims(token));
        let end = claims.and_then(|claims| claims["exp"].as_u64());
        let end = end.context("the gate was shown a token that says when it ends")?;
        until("the token's end", PATIENCE, async || (now() > end).then_some(())).await
    }

    /// Answers everything with a redirect to the same path below `url`, before it looks for a token.
    pub fn redirect(&self, url: &str) {
        self.shared.state().redirect = Some(url.to_owned());
    }

    /// Returns every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// Returns every token that was shown, good or not, in order: the same token once for each request.
    pub fn tokens(&self) -> Vec<String> {
        let seen = self.seen();
        let shown = seen.iter().filter_map(|seen| seen.authorization.as_deref());
        shown.filter_map(|value| Some(credentials(value)?.1)).collect()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn serve<L: axum::serve::Listener<Addr = SocketAddr>>(listener: L, shared: Arc<Shared>) -> AbortHandle {
    let router = Router::new().fallback(answer).with_state(shared);
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    serving.abort_handle()
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let response = match shared.refusal(&head) {
        Some(refusal) => refusal,
        None => shared.serve(&head, body).await,
    };
    shared.remember(&head, &response);
    response
}

impl Shared {
    fn new(issuer: &str, offer: Offer, service: Service) -> Arc<Self> {
        Arc::new(Self {
            issuer: issuer.to_owned(),
            offer,
            service,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, Memory> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, head: &request::Parts, response: &Response) {
        self.state().seen.push(Seen {
            method: head.method.to_string(),
            path: head.uri.to_string(),
            authorization: authorization(head).map(str::to_owned),
            status: response.status().as_u16(),
        });
    }

    /// Returns the redirect or the challenge for a request that may not pass.
    fn refusal(&self, head: &request::Parts) -> Option<Response> {
        if let Some(elsewhere) = &self.state().redirect {
            let place = format!("{elsewhere}{}", head.uri);
            return Some((StatusCode::FOUND, [(LOCATION, place)]).into_response());
        }
        let good = || authorization(head).is_some_and(|value| self.takes(value));
        (self.offer != Offer::Open && !good()).then(|| self.challenge())
    }

    fn challenge(&self) -> Response {
        let mut response = StatusCode::UNAUTHORIZED.into_response();
        for (scheme, without) in [("Bearer", Offer::Basic), ("Basic", Offer::Bearer)] {
            if self.offer != without {
                let value = format!("{scheme} realm=\"gate\"");
                let value = HeaderValue::try_from(value).expect("a challenge is ASCII");
                response.headers_mut().append(WWW_AUTHENTICATE, value);
            }
        }
        response
    }

    fn takes(&self, authorization: &str) -> bool {
        let Some((scheme, token)) = credentials(authorization) else {
            return false;
        };
        let offered = self.offer == Offer::Both || self.offer == scheme;
        offered && self.is_valid(&token) && !self.state().revoked.contains(&token)
    }

    /// Whether a JWT (RFC 9068) is of the issuer and has not expired. The signature is the provider's own test's affair.
    fn is_valid(&self, token: &str) -> bool {
        let Some(claims) = claims(token) else { return false };
        let issued = claims["iss"]
            .as_str()
            .is_some_and(|issuer| issuer.starts_with(&self.issuer));
        issued && claims["exp"].as_u64().is_some_and(|end| end > now())
    }

    async fn serve(&self, head: &request::Parts, body: Bytes) -> Response {
        match &self.service {
            Service::Files(root) => file(root, head.uri.path()),
            Service::Git(root) => cgi::git(root, head, &body).await.unwrap_or_else(|error| {
                (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response()
            }),
            Service::Function(answer) => answer(head, &body),
        }
    }
}

fn authorization(head: &request::Parts) -> Option<&str> {
    head.headers.get(AUTHORIZATION)?.to_str().ok()
}

/// Returns the scheme and the token of an `Authorization` header.
fn credentials(value: &str) -> Option<(Offer, String)> {
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((Offer::Bearer, rest.to_owned()));
    }
    let pair = String::from_utf8(Base64::decode_vec(rest).ok()?).ok()?;
    // An empty password is that of a user who was named in a URL.
    let (_, password) = pair
        .split_once(':')
        .filter(|(_, password)| !password.is_empty())?;
    Some((Offer::Basic, password.to_owned()))
}

/// Returns the time in seconds since 1970.
fn now() -> u64 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_secs())
}

/// Returns the claims of a JWT.
fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(payload).ok()?).ok()
}

fn file(root: &Path, path: &str) -> Response {
    let path = Path::new(path.trim_start_matches('/'));
    let below = path.components().all(|part| matches!(part, Component::Normal(_)));
    match std::fs::read(root.join(path)) {
        Ok(bytes) if below => bytes.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token as the gate reads it.
    fn token(issuer: &str, end: u64) -> String {
        let claims = serde_json::json!({ "iss": issuer, "exp": end }).to_string();
        format!("e30.{}.c2ln", Base64UrlUnpadded::encode_string(claims.as_bytes()))
    }

    const NEVER: u64 = 1 << 40;

    async fn gate(offer: Offer) -> Gate {
        let service = Service::Function(Box::new(|_, _| "through".into_response()));
        Gate::start("http://issuer", offer, service).await.unwrap()
    }

    fn http() -> reqwest::Client {
        let client = reqwest::Client::builder().no_proxy();
        client
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap()
    }

    async fn status(gate: &Gate, bearer: &str) -> u16 {
        let asked = http().get(format!("{}/x?y", gate.url)).bearer_auth(bearer);
        asked.send().await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn a_good_token_passes_until_it_is_revoked() {
        let gate = gate(Offer::Both).await;
        let good = token("http://issuer", NEVER);
        assert_eq!(status(&gate, &good).await, 200);
        let basic = http().get(&gate.url).basic_auth("anyone", Some(&good));
        assert_eq!(basic.send().await.unwrap().status(), 200);
        gate.revoke(&good);
        assert_eq!(status(&gate, &good).await, 401);
        assert_eq!(gate.tokens(), [good.clone(), good.clone(), good]);
        let seen = gate.seen();
        assert_eq!(
            (seen[0].path.as_str(), seen[0].status, seen[2].status),
            ("/x?y", 200, 401)
        );
    }

    #[tokio::test]
    async fn other_tokens_do_not_pass() {
        let gate = gate(Offer::Both).await;
        for bad in [
            token("http://other", NEVER),
            token("http://issuer", 1),
            "abc".into(),
            String::new(),
        ] {
            assert_eq!(status(&gate, &bad).await, 401, "{bad}");
        }
    }

    #[tokio::test]
    async fn what_is_offered_is_what_is_taken() {
        let good = token("http://issuer", NEVER);
        for (offer, bearer, challenges) in [
            (Offer::Bearer, 200, vec!["Bearer realm=\"gate\""]),
            (Offer::Basic, 401, vec!["Basic realm=\"gate\""]),
            (
                Offer::Both,
                200,
                vec!["Bearer realm=\"gate\"", "Basic realm=\"gate\""],
            ),
        ] {
            let gate = gate(offer).await;
            assert_eq!(status(&gate, &good).await, bearer, "{offer:?}");
            let refused = http().get(&gate.url).send().await.unwrap();
            let offered: Vec<_> = refused.headers().get_all(WWW_AUTHENTICATE).iter().collect();
            assert_eq!(offered, challenges);
        }
    }

    #[tokio::test]
    async fn a_gate_leads_elsewhere() {
        let gate = gate(Offer::Both).await;
        gate.redirect("http://127.0.0.1:1");
        let led = http().get(format!("{}/a", gate.url)).send().await.unwrap();
        assert_eq!(
            (led.status().as_u16(), led.headers()[LOCATION].to_str().unwrap()),
            (302, "http://127.0.0.1:1/a")
        );
    }

    #[tokio::test]
    async fn tls_is_vouched_for_by_an_authority_of_its_own() {
        let service = Service::Function(Box::new(|_, _| "through".into_response()));
        let gate = Gate::start_tls("http://issuer", Offer::Bearer, service)
            .await
            .unwrap();
        let authority = reqwest::Certificate::from_pem(gate.authority.as_bytes()).unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .build()
            .unwrap();
        let asked = client
            .get(&gate.url)
            .bearer_auth(token("http://issuer", NEVER))
            .send()
            .await
            .unwrap();
        assert_eq!(asked.text().await.unwrap(), "through");
    }

    #[tokio::test]
    async fn files_lie_below_the_root() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "content").unwrap();
        assert_eq!(file(folder.path(), "/a").status(), 200);
        for path in ["/b", "/", "/../a", "//etc/../etc/passwd"] {
            assert_eq!(file(folder.path(), path).status(), 404, "{path}");
        }
    }
}

//! The built-in identity provider, driven over HTTP from outside. This file is the harness: a provider with the
//! demo API beside it, a browser without a browser, and the hands on the provider's clock.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod authorize;
mod client;
mod code;
mod demo_api;
mod exchange;
mod login;
mod refresh;
mod revoke;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use axum::Router;
use base64ct::{Base64UrlUnpadded, Encoding};
use ciba_server::dev::demo_api::{DemoApi, demo_api};
use ciba_server::dev::{Clock, Config, Targets, provider};
use reqwest::header::{CACHE_CONTROL, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use url::Url;

const CLIENT_ID: &str = "the-client";
const CLIENT_SECRET: &str = "s:e c+r%e=t";
const REDIRECT_URI: &str = "http://127.0.0.1:9/callback?keep=1";

/// The pair of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Idp {
    issuer: String,
    demo_api: String,
    http: reqwest::Client,
    time: Arc<AtomicU64>,
}

/// An authorization request that reached the login page.
struct LoginPage {
    id: String,
    cookie: String,
}

impl Idp {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let issuer = format!("{base}/idp");
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let time = Arc::new(AtomicU64::new(
            SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs(),
        ));
        let clock = Clock::new({
            let time = Arc::clone(&time);
            move || time.load(Ordering::SeqCst)
        });
        let mut config = Config::new(
            Url::parse(&issuer).unwrap(),
            CLIENT_ID.to_owned(),
            CLIENT_SECRET.to_owned().into(),
            Url::parse(REDIRECT_URI).unwrap(),
        );
        config.clock = clock.clone();
        change(&mut config);
        let api = DemoApi {
            issuer: issuer.clone(),
            jwks_uri: Url::parse(&format!("{issuer}/jwks")).unwrap(),
            audiences: Targets::new(["urn:d:unified-gateway", "demo-api"]),
            http: http.clone(),
            clock,
        };
        let routes = provider(config).unwrap().routes();
        let app = Router::new()
            .nest("/idp", routes)
            .nest("/demo-api", demo_api(api));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            issuer,
            demo_api: format!("{base}/demo-api"),
            http,
            time,
        }
    }

    fn pass(&self, seconds: u64) {
        self.time.fetch_add(seconds, Ordering::SeqCst);
    }

    /// A good authorization request but for `change`; an empty value leaves the parameter out.
    async fn authorize(&self, change: &[(&str, &str)]) -> Response {
        let mut parameters = vec![
            ("client_id", CLIENT_ID),
            ("redirect_uri", REDIRECT_URI),
            ("response_type", "code"),
            ("scope", "openid offline_access api:read"),
            ("state", "the state"),
            ("nonce", "the-nonce"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        parameters.retain(|(name, _)| !change.iter().any(|(changed, _)| changed == name));
        parameters.extend(change.iter().filter(|(_, value)| !value.is_empty()));
        self.http
            .get(format!("{}/authorize", self.issuer))
            .query(&parameters)
            .send()
            .await
            .unwrap()
    }

    async fn login_page(&self) -> LoginPage {
        LoginPage::read(self.authorize(&[]).await).await
    }

    async fn answer(&self, page: &LoginPage, cookie: &str, fields: &[(&str, &str)]) -> Response {
        let mut form = vec![("login", page.id.as_str())];
        form.extend(fields);
        let request = self
            .http
            .post(format!("{}/login", self.issuer))
            .header(COOKIE, cookie);
        request.form(&form).send().await.unwrap()
    }

    async fn sign_in(&self, page: &LoginPage) -> Response {
        self.answer(
            page,
            &page.cookie,
            &[("username", "alice"), ("password", "demo"), ("action", "sign_in")],
        )
        .await
    }

    async fn code(&self) -> String {
        let page = self.login_page().await;
        parameter(&self.sign_in(&page).await, "code").unwrap()
    }

    /// A form with the client's credentials in it.
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        let mut whole = vec![("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)];
        whole.extend(form);
        self.http
            .post(format!("{}{path}", self.issuer))
            .form(&whole)
            .send()
            .await
            .unwrap()
    }

    async fn redeem(&self, code: &str, redirect_uri: &str, verifier: &str) -> Response {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        self.post("/token", &form).await
    }

    async fn tokens(&self) -> Value {
        let response = self.redeem(&self.code().await, REDIRECT_URI, VERIFIER).await;
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    async fn refresh(&self, tokens: &Value) -> Response {
        let token = text(tokens, "refresh_token");
        self.post(
            "/token",
            &[("grant_type", "refresh_token"), ("refresh_token", token)],
        )
        .await
    }

    async fn userinfo(&self, token: &str) -> Response {
        self.http
            .get(format!("{}/userinfo", self.issuer))
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
    }

    async fn whoami(&self, token: &str) -> Response {
        self.http
            .get(format!("{}/whoami", self.demo_api))
            .bearer_auth(token)
            .send()
            .await
            .unwrap()
    }
}

impl LoginPage {
    async fn read(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
        for wanted in ["HttpOnly", "SameSite=Strict", "Path=/idp/login"] {
            assert!(cookie.contains(wanted), "{cookie}");
        }
        let html = response.text().await.unwrap();
        let id = html
            .split_once(r#"name="login" value=""#)
            .unwrap()
            .1
            .split_once('"')
            .unwrap()
            .0;
        Self {
            id: id.to_owned(),
            cookie: cookie.split_once(';').unwrap().0.to_owned(),
        }
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

/// A query parameter of the redirect to the client that this answer is.
fn parameter(response: &Response, name: &str) -> Option<String> {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let location = Url::parse(response.headers()[LOCATION].to_str().unwrap()).unwrap();
    assert!(location.as_str().starts_with(REDIRECT_URI));
    location
        .query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Header (0) or claims (1) of a JWT, unchecked.
fn part(jwt: &str, index: usize) -> Value {
    let json = Base64UrlUnpadded::decode_vec(jwt.split('.').nth(index).unwrap()).unwrap();
    serde_json::from_slice(&json).unwrap()
}

async fn refused(response: Response, status: StatusCode, error: &str) {
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    let answered = response.status();
    let body: Value = response.json().await.unwrap();
    assert_eq!((answered, text(&body, "error")), (status, error));
}

async fn bad_request(response: Response, error: &str) {
    refused(response, StatusCode::BAD_REQUEST, error).await;
}

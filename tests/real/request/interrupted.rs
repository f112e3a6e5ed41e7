//! `ciba request` that ends before there is a decision: the daemon ends its question, and asks no more.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use ciba_tests::{PATIENCE, World};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::Asking;

/// How often a request that is not held is answered with "not yet".
const NOT_YET: usize = 3;

#[derive(Debug, PartialEq, Eq)]
enum Event {
    /// A question has come that is not answered.
    Held,
    /// The daemon has closed the connection of such a question.
    HungUp,
}

/// A provider that holds every question about its first request (CIBA Core §10.1, long polling).
struct Provider {
    issuer: String,
    shared: Arc<Shared>,
    events: UnboundedReceiver<Event>,
    serving: AbortHandle,
}

struct Shared {
    issuer: String,
    events: UnboundedSender<Event>,
    /// Questions to the token endpoint, by request.
    questions: Mutex<Vec<usize>>,
}

/// Lives as long as a question is held.
struct Held<'a>(&'a UnboundedSender<Event>);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _ = self.0.send(Event::HungUp);
    }
}

impl Provider {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let (sender, events) = unbounded_channel();
        let shared = Arc::new(Shared {
            issuer: issuer.clone(),
            events: sender,
            questions: Mutex::default(),
        });
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(describe))
            .route("/ciba", post(acknowledge))
            .route("/token", post(answer))
            .with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self {
            issuer,
            shared,
            events,
            serving: serving.abort_handle(),
        })
    }

    async fn next(&mut self) -> Result<Event> {
        let event = timeout(PATIENCE, self.events.recv()).await?;
        event.context("the provider serves")
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    /// Notes a request that has begun, or a question about it; returns how many there are now.
    fn note(&self, request: Option<usize>) -> usize {
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        match request {
            Some(request) => {
                questions[request] += 1;
                questions[request]
            }
            None => {
                questions.push(0);
                questions.len()
            }
        }
    }

    fn questions(&self) -> Vec<usize> {
        self.questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn describe(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let issuer = &shared.issuer;
    Json(json!({
        "issuer": issuer, "token_endpoint": format!("{issuer}/token"),
        "backchannel_authentication_endpoint": format!("{issuer}/ciba"),
    }))
}

async fn acknowledge(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let request = shared.note(None) - 1;
    Json(json!({ "auth_req_id": request.to_string(), "expires_in": 300, "interval": 1 }))
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Form(form): Form<Vec<(String, String)>>,
) -> (StatusCode, Json<Value>) {
    let request = form.iter().find(|(name, _)| name == "auth_req_id");
    let request: usize = request
        .and_then(|(_, id)| id.parse().ok())
        .expect("an id of this provider");
    let count = shared.note(Some(request));
    if request == 0 {
        let _held = Held(&shared.events);
        let _ = shared.events.send(Event::Held);
        std::future::pending::<()>().await;
    }
    if count <= NOT_YET {
        let not_yet = json!({ "error": "authorization_pending" });
        return (StatusCode::BAD_REQUEST, Json(not_yet));
    }
    let granted = json!({ "access_token": "a-token", "token_type": "Bearer" });
    (StatusCode::OK, Json(granted))
}

#[tokio::test]
async fn a_request_that_is_interrupted_is_asked_about_no_more() -> Result<()> {
    ends_by(Signal::INT).await
}

#[tokio::test]
async fn a_request_that_is_killed_is_asked_about_no_more() -> Result<()> {
    ends_by(Signal::KILL).await
}

async fn ends_by(signal: Signal) -> Result<()> {
    let mut provider = Provider::start().await?;
    let world = World::new()?;
    let asking = Asking {
        world: &world,
        issuer: &provider.issuer.clone(),
        client_id: "agent",
    };
    asking.keep("a-secret", &[]).await?;
    let mut request = asking.begin(&["--login-hint", "ada"])?;
    assert_eq!(provider.next().await?, Event::Held);
    let daemon = world.daemon();
    request.signal(signal)?;
    // A shell calls that 128 more: 130 after Ctrl-C.
    assert_eq!(request.finish(PATIENCE).await?.signal(), Some(signal.as_raw()));
    assert_eq!(provider.next().await?, Event::HungUp);

    // As long as another request takes the same daemon, which is several intervals, nothing comes about the first one.
    let other = asking.run(&["--login-hint", "ada"]).await?;
    assert_eq!(other.success(), "a-token");
    assert_eq!(provider.shared.questions(), [1, NOT_YET + 1]);
    assert_eq!(world.daemon(), daemon);
    Ok(())
}

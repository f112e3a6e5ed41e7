//! What stands around every route: limits, security headers, a caught panic, one line of log.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::refusal::Refusal;

/// Bytes of a body that any route reads.
const MAX_BODY: usize = 64 * 1024;

/// Bytes of a body that is too large, which are read all the same.
const MAX_HEARD: usize = 1024 * 1024;

/// How long one request may take, its body included: longer than every outside call that a handler waits for.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// On every answer. A page of ours loads its own style sheet and nothing else, from nowhere else.
const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// The answer of a handler that panicked (C-012).
const FAILED: Refusal = Refusal::server_error("the server failed");

/// Puts routes behind the limits, the headers and the log.
pub(crate) fn guarded(routes: Router) -> Router {
    let panicked = CatchPanicLayer::custom(|_| FAILED.into_response());
    routes
        .method_not_allowed_fallback(|| async { Refusal::method_not_allowed() })
        .fallback(|| async { StatusCode::NOT_FOUND })
        // One layer of many: each of its own would cost every request an allocation.
        .layer((
            middleware::from_fn(log),
            middleware::map_response(with_headers),
            DefaultBodyLimit::max(MAX_BODY),
            TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, ANSWER_WITHIN),
            panicked,
        ))
}

/// Reads a body that is too large, within limits, before it is refused: a client that is answered while it still sends may
/// find its connection closed instead of the answer.
async fn hear_out(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let hearing = async {
        let (mut body, mut heard) = (body.into_data_stream(), 0);
        while heard < MAX_HEARD
            && let Some(Ok(chunk)) = body.next().await
        {
            heard += chunk.len();
        }
    };
    let _ = tokio::time::timeout(ANSWER_WITHIN, hearing).await;
    // The route refuses it by its size.
    let refused = Body::from(vec![0; MAX_BODY + 1]);
    next.run(Request::from_parts(parts, refused)).await
}

/// Whether a request says that its body is larger than any route reads.
fn is_too_large(request: &Request) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.is_some_and(|length: u64| length > MAX_BODY as u64)
}

async fn with_headers<B>(mut response: Response<B>) -> Response<B> {
    for (name, value) in HEADERS {
        // A page that knows better (the built-in provider's) has its own.
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Logs the route's pattern, never the path or the query: queries hold codes and challenges.
async fn log(path: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let (method, began) = (request.method().clone(), Instant::now());
    let response = if is_too_large(&request) {
        Box::pin(hear_out(request, next)).await
    } else {
        next.run(request).await
    };
    let route = path.as_ref().map_or("-", MatchedPath::as_str);
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    tracing::info!(%method, route, status = response.status().as_u16(), micros, "request");
    response
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::Bytes;
    use axum::routing::{get, post};
    use futures_util::stream;
    use http::header::CONTENT_TYPE;
    use tower::ServiceExt as _;

    use super::*;

    async fn panics() -> StatusCode {
        panic!("on purpose")
    }

    #[tokio::test]
    async fn c_012_a_handler_that_panics_is_an_error_answer_without_internals() {
        let routes = guarded(Router::new().route("/", get(panics)));
        let response = routes.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({ "error": "server_error", "error_description": "the server failed" })
        );
    }

    #[tokio::test]
    async fn c_006_a_body_that_is_too_large_is_heard_out_before_it_is_refused() {
        let routes = guarded(Router::new().route("/", post(async |_: Bytes| ())));
        for (bytes, status, is_heard) in [
            (MAX_BODY, 200, true),
            (MAX_BODY + 1, 413, true),
            (MAX_HEARD, 413, true),
            (MAX_HEARD + 2 * MAX_BODY, 413, false),
        ] {
            let heard = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&heard);
            let chunks = vec![MAX_BODY; bytes / MAX_BODY]
                .into_iter()
                .chain([bytes % MAX_BODY]);
            let body = stream::iter(chunks).map(move |bytes| {
                count.fetch_add(bytes, Ordering::Relaxed);
                Ok::<_, Infallible>(vec![0; bytes])
            });
            let request = Request::post("/")
                .header(header::CONTENT_LENGTH, bytes)
                .body(Body::from_stream(body));
            let response = routes.clone().oneshot(request.unwrap()).await.unwrap();
            assert_eq!(response.status(), status, "{bytes}");
            assert_eq!(heard.load(Ordering::Relaxed) == bytes, is_heard, "{bytes}");
        }
    }
}

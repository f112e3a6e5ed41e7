//! What every page has: its frame, the style sheet, and how it becomes an answer.

use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use url::Url;

/// Returns the routes that belong to no room. The frame of all pages is `templates/base.html`.
pub(crate) fn routes(public_url: &Url) -> Router {
    let greeting = format!("ciba-server runs here. In a terminal, type: ciba start --url {public_url}\n");
    Router::new()
        .route("/", get(|| async { greeting }))
        .route("/style.css", get(style))
}

async fn style() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, include_str!("../templates/style.css"))
}

/// The picture beside a notice; it says nothing that the words do not.
pub(crate) enum Mark {
    Check,
    Clock,
    Cross,
}

/// Answers with a page. It is about one person's affairs: no cache keeps it.
pub(crate) fn respond(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, [(CACHE_CONTROL, "no-store")], Html(html)).into_response(),
        Err(cause) => {
            tracing::error!(error = %cause, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Says when the browser may try again. Whole seconds: one more than counted, so that it does not come back too early.
pub(crate) fn retry_after(mut response: Response, wait: Duration) -> Response {
    let seconds = HeaderValue::from(wait.as_secs() + 1);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

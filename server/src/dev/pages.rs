//! The provider's two pages, the login form and a plain notice, under a policy that lets nothing else in.

use std::sync::LazyLock;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use base64ct::{Base64, Encoding};
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use super::config::Config;
use super::users::{self, User};

const STYLE: &str = include_str!("../../templates/dev/style.css");

/// The inline style's hash, as a policy names it (CSP Level 3 §8.3).
static STYLE_HASH: LazyLock<String> = LazyLock::new(|| {
    format!(
        "'sha256-{}'",
        Base64::encode_string(&Sha256::digest(STYLE.as_bytes()))
    )
});

/// Which time the form is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// For the first time.
    First,
    /// After a wrong name or password.
    Failed,
}

/// Why a login cannot go on, as the person reads it.
#[derive(Clone, Copy)]
pub(super) enum Notice {
    /// The client's request cannot be trusted or understood.
    BadRequest,
    /// No such login waits for this browser.
    Expired,
}

#[derive(Template)]
#[template(path = "dev/login.html")]
struct LoginPage<'a> {
    style: &'static str,
    action: String,
    client_id: &'a str,
    login: &'a str,
    failed: bool,
    users: &'static [User],
    password: &'static str,
}

#[derive(Template)]
#[template(path = "dev/notice.html")]
struct NoticePage {
    style: &'static str,
    title: &'static str,
    text: &'static str,
}

/// Returns the login form for a waiting login.
pub(super) fn login(config: &Config, login: &str, attempt: Attempt) -> Response {
    let failed = attempt == Attempt::Failed;
    let page = LoginPage {
        style: STYLE,
        action: config.endpoint("/login"),
        client_id: &config.client_id,
        login,
        failed,
        users: &users::USERS,
        password: users::PASSWORD,
    };
    // Browsers apply form-action to the redirect that follows the form as well, so the client is named too.
    let form_action = format!("'self' {}", config.redirect_uri.origin().ascii_serialization());
    let status = if failed {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    page_response(status, &page, &form_action)
}

/// Returns a page that says why a login cannot go on.
pub(super) fn notice(notice: Notice) -> Response {
    let (status, title, text) = match notice {
        Notice::BadRequest => (
            StatusCode::BAD_REQUEST,
            "This sign-in link is broken",
            "The program that sent you here made a mistake. Nothing was signed in. Go back to it and start again.",
        ),
        Notice::Expired => (
            StatusCode::FORBIDDEN,
            "This sign-in is over",
            "It took too long, was finished already, or began in another browser. Go back and start again.",
        ),
    };
    page_response(
        status,
        &NoticePage {
            style: STYLE,
            title,
            text,
        },
        "'none'",
    )
}

fn page_response(status: StatusCode, page: &impl Template, form_action: &str) -> Response {
    let policy = format!(
        "default-src 'none'; style-src {}; form-action {form_action}; frame-ancestors 'none'; base-uri 'none'",
        *STYLE_HASH
    );
    match (page.render(), HeaderValue::try_from(policy)) {
        (Ok(html), Ok(policy)) => (status, [(CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

//! Step 1 of the token's way: the browser comes back with a code (D-022, D-023).

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::CookieJar;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::attempt::Attempt;
use super::browser::Browser;
use super::logins::Logins;
use super::page::Notice;
use crate::cause::chain;
use crate::device::{Outcome, Return};
use crate::token::Redeem;

/// RFC 6749 §4.1.2, and `iss` of RFC 9207.
#[derive(Deserialize)]
pub(super) struct Returned {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    iss: Option<String>,
}

/// `GET /auth/callback`
pub(super) async fn callback(
    State(logins): State<Logins>,
    jar: CookieJar,
    returned: Result<Query<Returned>, QueryRejection>,
) -> Response {
    let Ok(Query(returned)) = returned else {
        return Notice::NotFound.into_response();
    };
    let browser = Browser::of(&jar, &logins.public_url);
    // In a task of its own: a code that was spent must reach the device, even if the tab is closed.
    let tasks = logins.tasks.clone();
    let coming_back = async move { come_back(&logins, browser.as_ref(), returned).await };
    let notice = tasks.spawn(coming_back).await;
    notice.unwrap_or(Notice::ServerTrouble).into_response()
}

async fn come_back(logins: &Logins, browser: Option<&Browser>, returned: Returned) -> Notice {
    let state = returned.state.as_deref().unwrap_or_default();
    let attempt = match logins.attempts.take(state).await {
        Ok(Some(attempt)) if attempt.is_of(browser) => attempt,
        Ok(_) => return Notice::AlreadyUsed,
        Err(error) => {
            tracing::error!(error = chain(&error), "a login could not be read");
            return Notice::ServerTrouble;
        }
    };
    let Attempt { session, redeem, .. } = attempt;
    let back = understood(returned, redeem, &logins.issuer);
    notice(logins.sessions.come_back(&session, back).await)
}

/// Returns what the browser brought back.
fn understood(returned: Returned, redeem: Redeem, issuer: &str) -> Return {
    let refused = |error: &str, description: &str| Return::Refused {
        error: error.to_owned(),
        description: description.to_owned(),
    };
    if returned.iss.is_some_and(|iss| iss != issuer) {
        return refused("server_error", "the answer came from another identity provider");
    }
    match (returned.code, returned.error) {
        (Some(code), None) => Return::Code {
            code: Zeroizing::new(code),
            redeem,
        },
        (_, Some(error)) => {
            let description = returned.error_description;
            refused(
                &error,
                description.as_deref().unwrap_or_else(|| plain_reason(&error)),
            )
        }
        (None, None) => refused("server_error", "the identity provider sent no code"),
    }
}

/// Returns what the person is told.
pub(super) fn notice(outcome: Outcome) -> Notice {
    match outcome {
        Outcome::SignedIn { name } => Notice::SignedIn { subject: name },
        Outcome::Expired => Notice::Expired,
        Outcome::AlreadyUsed => Notice::AlreadyUsed,
        Outcome::DeviceAway => Notice::NoLongerWaiting,
        Outcome::Refused { error } => Notice::Refused {
            reason_plain: plain_reason(&error).into(),
        },
        Outcome::ProviderDown => Notice::ProviderDown,
        Outcome::Failed => Notice::ServerTrouble,
    }
}

/// An OAuth error code in a person's words.
fn plain_reason(error: &str) -> &'static str {
    match error {
        "access_denied" => "The sign-in was cancelled or not allowed.",
        "temporarily_unavailable" | "server_error" => "The identity provider has a problem right now.",
        "login_required" | "interaction_required" | "consent_required" => {
            "The identity provider needs you to sign in again."
        }
        _ => "The identity provider did not accept the sign-in.",
    }
}

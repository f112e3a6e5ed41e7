//! Step 1 of the token's way: the browser comes back with a code (D-022, D-023).

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::CookieJar;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::attempt::{Attempt, Purpose};
use super::browser::Browser;
use super::logins::Logins;
use super::page::Notice;
use super::reason::plain_reason;
use super::sign_in::{self, Way};
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
    // In a task of its own: a code that was spent must reach the device, even if the tab is closed.
    let tasks = logins.tasks.clone();
    let coming_back = async move { come_back(&logins, jar, returned).await };
    let response = tasks.spawn(coming_back).await;
    response.unwrap_or_else(|_| Notice::ServerTrouble.into_response())
}

async fn come_back(logins: &Logins, jar: CookieJar, returned: Returned) -> Response {
    let (browser, attempt) = match attempt(logins, &jar, &returned).await {
        Ok(found) => found,
        Err(notice) => return notice.into_response(),
    };
    let back = understood(returned, attempt.redeem, &logins.issuer);
    match attempt.purpose {
        Purpose::Device { session } => {
            let outcome = logins.sessions.come_back(&session, back).await;
            if let (Outcome::SignedIn { person }, Some(people)) = (&outcome, &logins.people) {
                people.remember(person).await;
            }
            notice(outcome).into_response()
        }
        Purpose::Browser { to, fresh_since } => {
            let to = browser.open(&to);
            sign_in::come_back(logins, jar, back, Way { to, fresh_since }).await
        }
    }
}

/// Returns the attempt that the browser comes back from, if it is the browser that set out.
async fn attempt(
    logins: &Logins,
    jar: &CookieJar,
    returned: &Returned,
) -> Result<(Browser, Attempt), Notice> {
    let browser = Browser::of(jar, &logins.public_url);
    let state = returned.state.as_deref().unwrap_or_default();
    let attempt = logins.attempts.take(state).await.map_err(|error| {
        tracing::error!(error = chain(&error), "a login could not be read");
        Notice::ServerTrouble
    })?;
    let pair = browser.zip(attempt);
    pair.filter(|(browser, attempt)| attempt.is_of(browser))
        .ok_or(Notice::AlreadyUsed)
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
        Outcome::SignedIn { person } => Notice::SignedIn { subject: person.name },
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

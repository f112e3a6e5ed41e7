//! The way back (step 1 of the token's way): the browser returns with a code.

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::CookieJar;
use device_proto::RequestId;
use serde::Deserialize;

use super::attempt::{Attempt, Browser};
use super::page::Notice;
use crate::app::App;
use crate::cause::chain;
use crate::device::{self, PublishError};
use crate::token::{Grant, ProviderError, SignedIn};

/// How long a device that is away may take to come back before the code is spent (D-022).
const DEVICE_BACK_WITHIN: Duration = Duration::from_secs(10);

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
    State(app): State<App>,
    jar: CookieJar,
    returned: Result<Query<Returned>, QueryRejection>,
) -> Response {
    let Ok(Query(returned)) = returned else {
        return Notice::NotFound.into_response();
    };
    let browser = Browser::of(&jar, &app.public_url);
    // In a task of its own: a code that was spent must reach the device, even if the tab is closed.
    let working = app.clone();
    let coming_back = async move { come_back(&working, browser.as_ref(), returned).await };
    let notice = app.tasks.spawn(coming_back).await;
    notice.unwrap_or(Notice::ServerTrouble).into_response()
}

async fn come_back(app: &App, browser: Option<&Browser>, returned: Returned) -> Notice {
    let attempt = match Attempt::take(app, returned.state.as_deref().unwrap_or_default()).await {
        Ok(Some(attempt)) if attempt.is_of(browser) => attempt,
        Ok(_) => return Notice::AlreadyUsed,
        Err(error) => {
            tracing::error!(error = chain(&error), "a login could not be read");
            return Notice::ServerTrouble;
        }
    };
    if returned
        .iss
        .as_ref()
        .is_some_and(|iss| *iss != app.config.login.issuer)
    {
        return refused(
            app,
            &attempt.session,
            "server_error",
            "the answer came from another identity provider",
        )
        .await;
    }
    match (returned.code, returned.error) {
        (Some(code), None) => sign_in(app, attempt, code).await,
        (_, Some(error)) => {
            let description = returned
                .error_description
                .unwrap_or_else(|| plain_reason(&error).into());
            refused(app, &attempt.session, &error, &description).await
        }
        (None, None) => {
            refused(
                app,
                &attempt.session,
                "server_error",
                "the identity provider sent no code",
            )
            .await
        }
    }
}

async fn sign_in(app: &App, attempt: Attempt, code: String) -> Notice {
    let Some(room) = app.registry.holder(&attempt.session, DEVICE_BACK_WITHIN).await else {
        return Notice::NoLongerWaiting;
    };
    let SignedIn { grant, name: subject } = match app.provider.redeem(&code, attempt.redeem).await {
        Ok(signed_in) => signed_in,
        Err(error) => return failed(app, &attempt.session, &error).await,
    };
    match device::publish(app, &room, &subject, &grant).await {
        Ok(()) => Notice::SignedIn { subject },
        Err(error) => unpublished(app, &room.session, &grant, &error).await,
    }
}

/// The tokens reached nobody: they are given back, and the device learns that nothing will come.
async fn unpublished(app: &App, session: &RequestId, grant: &Grant, error: &PublishError) -> Notice {
    tracing::warn!(error = chain(error), "a login's tokens were not published");
    device::revoke(app, grant).await;
    match error {
        PublishError::NotPending => return Notice::AlreadyUsed,
        PublishError::Expired => return Notice::Expired,
        PublishError::Resource(error) => return failed(app, session, error).await,
        PublishError::Sealed | PublishError::Store(_) => {}
    }
    tell_device(
        app,
        session,
        "server_error",
        "the server could not keep the login",
    )
    .await;
    Notice::ServerTrouble
}

/// The provider or the person said no (D-023).
async fn refused(app: &App, session: &RequestId, error: &str, description: &str) -> Notice {
    tell_device(app, session, error, description).await;
    Notice::Refused {
        reason_plain: plain_reason(error).into(),
    }
}

async fn failed(app: &App, session: &RequestId, error: &ProviderError) -> Notice {
    tracing::warn!(error = chain(error), "a login failed");
    tell_device(app, session, error.code(), &error.to_string()).await;
    match error {
        ProviderError::Refused(code) => Notice::Refused {
            reason_plain: plain_reason(code).into(),
        },
        _ => Notice::ProviderDown,
    }
}

async fn tell_device(app: &App, session: &RequestId, error: &str, description: &str) {
    if let Err(error) = device::fail(app, session, error, description).await {
        tracing::error!(error = chain(&error), "a failed login could not be kept");
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

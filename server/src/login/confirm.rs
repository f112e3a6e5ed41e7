//! The way out (D-020, D-021): the person compares the code, then goes to the identity provider.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::CookieJar;
use device_proto::RequestId;
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde::Deserialize;

use super::attempt::{Attempt, Browser};
use super::page::{Confirm, Notice};
use crate::app::App;
use crate::cause::chain;
use crate::clock::now;
use crate::config;
use crate::device::{self, Record, Stage};
use crate::http::Peer;

#[derive(Deserialize)]
pub(super) struct Proceed {
    /// What the confirm page carried: a link from elsewhere does not know it.
    #[serde(default)]
    seen: String,
}

/// `GET /login/{session}`
pub(super) async fn show(
    State(app): State<App>,
    peer: Peer,
    jar: CookieJar,
    Path(session): Path<String>,
) -> Response {
    let (session, record) = match waiting(&app, &session).await {
        Ok(found) => found,
        Err(notice) => return notice.into_response(),
    };
    let browser = Browser::of(&jar, &app.public_url).unwrap_or_else(Browser::fresh);
    let jar = jar.add(browser.cookie(&app.public_url));
    if app.config.login.confirm == config::Confirm::None {
        return (jar, set_out(&app, &peer, session, &browser).await).into_response();
    }
    let confirm = Confirm {
        device_name: record.device_name.as_deref(),
        address: &record.address,
        age: age(now().seconds().saturating_sub(record.created_at)),
        user_code: &record.user_code,
        continue_url: &format!("/login/{session}/continue?seen={}", browser.seen(&session)),
    };
    (jar, confirm.into_response()).into_response()
}

/// `GET /login/{session}/continue`
pub(super) async fn proceed(
    State(app): State<App>,
    peer: Peer,
    jar: CookieJar,
    Path(session): Path<String>,
    Query(proceed): Query<Proceed>,
) -> Response {
    let (session, _) = match waiting(&app, &session).await {
        Ok(found) => found,
        Err(notice) => return notice.into_response(),
    };
    let browser = Browser::of(&jar, &app.public_url);
    let Some(browser) = browser.filter(|browser| browser.has_seen(&session, &proceed.seen)) else {
        // Whoever was sent here past the page is shown the page.
        return Redirect::to(&format!("/login/{session}")).into_response();
    };
    set_out(&app, &peer, session, &browser).await
}

/// Returns the session if somebody may still sign in to it, or what to tell the person.
async fn waiting(app: &App, session: &str) -> Result<(RequestId, Record), Notice> {
    let session: RequestId = session.parse().map_err(|_| Notice::NotFound)?;
    let found = app.sessions.find(&session, now()).await.map_err(|error| {
        tracing::error!(error = chain(&error), "a session could not be read");
        Notice::ServerTrouble
    })?;
    // Gone records and wrong addresses look alike; a person usually has the former.
    let (record, _) = found.ok_or(Notice::Expired)?;
    match record.stage {
        Stage::Pending { .. } => Ok((session, record)),
        Stage::Active(_) | Stage::Failed { .. } => Err(Notice::AlreadyUsed),
    }
}

/// Sends the browser to the identity provider.
async fn set_out(app: &App, peer: &Peer, session: RequestId, browser: &Browser) -> Response {
    if let Err(wait) = app.browsers.check(peer.address()) {
        let headers = [(RETRY_AFTER, (wait.as_secs() + 1).to_string())];
        return (
            StatusCode::TOO_MANY_REQUESTS,
            headers,
            "Too many sign-ins from here. Try again in a minute.\n",
        )
            .into_response();
    }
    let asked = match app.provider.ask().await {
        Ok(asked) => asked,
        Err(error) => {
            tracing::warn!(error = chain(&error), "a login cannot begin");
            let told = device::fail(app, &session, error.code(), &error.to_string()).await;
            return told
                .map_or(Notice::ServerTrouble, |()| Notice::ProviderDown)
                .into_response();
        }
    };
    let attempt = Attempt::new(session, asked.redeem, browser);
    if let Err(error) = attempt.keep(app, &asked.state).await {
        tracing::error!(error = chain(&error), "a login could not be kept");
        return Notice::ServerTrouble.into_response();
    }
    Redirect::to(asked.url.as_str()).into_response()
}

/// How long ago the terminal asked, for a person.
fn age(seconds: u64) -> String {
    match seconds {
        0..=1 => "just now".into(),
        2..=89 => format!("{seconds} seconds ago"),
        _ => format!("{} minutes ago", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn d_020_the_age_is_said_in_plain_words() {
        assert_eq!(
            [0, 2, 89, 90, 600].map(age),
            [
                "just now",
                "2 seconds ago",
                "89 seconds ago",
                "2 minutes ago",
                "10 minutes ago"
            ]
        );
    }
}

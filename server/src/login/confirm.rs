//! The way out (D-020, D-021): the person compares the code, then goes to the identity provider.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::CookieJar;
use device_proto::RequestId;
use serde::Deserialize;

use super::attempt::Purpose;
use super::browser::Browser;
use super::callback::notice;
use super::departure::depart;
use super::logins::Logins;
use super::page::{Confirm, Notice};
use crate::cause::chain;
use crate::config;
use crate::device::{NotWaiting, Waiting};
use crate::peer::Peer;

#[derive(Deserialize)]
pub(super) struct Proceed {
    /// What the confirm page carried: a link from elsewhere does not know it.
    #[serde(default)]
    seen: String,
}

/// `GET /login/{session}`
pub(super) async fn show(
    State(logins): State<Logins>,
    Extension(peer): Extension<Peer>,
    jar: CookieJar,
    Path(session): Path<String>,
) -> Response {
    let (session, request) = match waiting(&logins, &session).await {
        Ok(found) => found,
        Err(notice) => return notice.into_response(),
    };
    let browser = Browser::of(&jar, &logins.public_url).unwrap_or_else(Browser::fresh);
    let jar = jar.add(browser.cookie(&logins.public_url));
    if logins.confirm == config::Confirm::None {
        return (jar, set_out(&logins, peer, session, &browser).await).into_response();
    }
    let confirm = Confirm {
        device_name: request.device_name.as_deref(),
        address: &request.address,
        age: age(request.age),
        user_code: &request.user_code,
        continue_url: &format!("/login/{session}/continue?seen={}", browser.seen(&session)),
    };
    (jar, confirm.into_response()).into_response()
}

/// `GET /login/{session}/continue`
pub(super) async fn proceed(
    State(logins): State<Logins>,
    Extension(peer): Extension<Peer>,
    jar: CookieJar,
    Path(session): Path<String>,
    Query(proceed): Query<Proceed>,
) -> Response {
    let (session, _) = match waiting(&logins, &session).await {
        Ok(found) => found,
        Err(notice) => return notice.into_response(),
    };
    let browser = Browser::of(&jar, &logins.public_url);
    let Some(browser) = browser.filter(|browser| browser.has_seen(&session, &proceed.seen)) else {
        // A browser that was sent here past the page is shown the page.
        return Redirect::to(&format!("/login/{session}")).into_response();
    };
    set_out(&logins, peer, session, &browser).await
}

/// Returns the session if a person may still sign in to it, or what to tell the person.
async fn waiting(logins: &Logins, session: &str) -> Result<(RequestId, Waiting), Notice> {
    let session: RequestId = session.parse().map_err(|_| Notice::NotFound)?;
    match logins.sessions.waiting(&session).await {
        Ok(request) => Ok((session, request)),
        // Gone records and wrong addresses look alike; a person usually has the former.
        Err(NotWaiting::Gone) => Err(Notice::Expired),
        Err(NotWaiting::Done) => Err(Notice::AlreadyUsed),
        Err(NotWaiting::Store(error)) => {
            tracing::error!(error = chain(&error), "a session could not be read");
            Err(Notice::ServerTrouble)
        }
    }
}

/// Sends the browser to the identity provider.
async fn set_out(logins: &Logins, Peer(address): Peer, session: RequestId, browser: &Browser) -> Response {
    if let Err(wait) = logins.departures.check(&address.into()) {
        return Notice::TooMany { wait }.into_response();
    }
    let asked = match logins.provider.ask().await {
        Ok(asked) => asked,
        Err(error) => {
            let told = logins.sessions.provider_failed(&session, &error).await;
            return notice(told).into_response();
        }
    };
    match depart(logins, asked, Purpose::Device { session }, browser).await {
        Ok(away) => away.into_response(),
        Err(_) => Notice::ServerTrouble.into_response(),
    }
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

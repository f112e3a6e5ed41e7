//! A person signs out of a browser.

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::CookieJar;
use serde::Deserialize;

use super::ended::Ended;
use super::logins::Logins;
use crate::cause::chain;

/// What the form of a page of ours carries.
#[derive(Deserialize)]
pub(super) struct SignOut {
    #[serde(default)]
    form_token: String,
}

/// `POST /ciba/sign-out`
pub(super) async fn sign_out(
    State(logins): State<Logins>,
    jar: CookieJar,
    form: Result<Form<SignOut>, FormRejection>,
) -> Response {
    let token = form.map_or_else(|_| String::new(), |Form(form)| form.form_token);
    match ended(&logins, jar, &token).await {
        Ok((jar, ended)) => (jar, ended).into_response(),
        Err(error) => {
            tracing::error!(error = chain(&error), "a browser session could not be ended");
            Ended::ServerTrouble.into_response()
        }
    }
}

async fn ended(logins: &Logins, jar: CookieJar, token: &str) -> Result<(CookieJar, Ended), store::Error> {
    let Some(people) = &logins.people else {
        return Ok((jar, Ended::NotFound));
    };
    match people.browsers.of(&jar).await? {
        Some(session) if !session.is_from_our_page(token) => Ok((jar, Ended::Stale)),
        _ => Ok((people.browsers.end(jar).await?, Ended::SignedOut)),
    }
}

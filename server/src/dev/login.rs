//! The login form comes back: the person signs in, tries again, or cancels.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::CookieJar;
use serde::Deserialize;

use super::Provider;
use super::authorize::{cookie, cookie_name, redirect};
use super::pages::{self, Attempt, Notice};
use super::secret::{self, Fingerprint};
use super::state::Authorization;
use super::users::{self, User};

/// The login form.
#[derive(Deserialize)]
pub(super) struct Answer {
    /// Id of the login; worthless without its cookie.
    login: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    action: Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    SignIn,
    Cancel,
}

/// `POST /login`. Without the cookie that came with the form it is another site's form, or an old one.
pub(super) async fn login(
    State(provider): State<Arc<Provider>>,
    jar: CookieJar,
    form: Result<Form<Answer>, FormRejection>,
) -> Response {
    let Ok(Form(answer)) = form else {
        return pages::notice(Notice::BadRequest);
    };
    let name = cookie_name(&answer.login);
    let browser = jar
        .get(&name)
        .map(|cookie| cookie.value().to_owned())
        .unwrap_or_default();
    if !provider
        .state()
        .login_waits(&answer.login, &browser, provider.now())
    {
        return pages::notice(Notice::Expired);
    }
    let outcome = match answer.action {
        Action::Cancel => cancel(&provider, &answer.login),
        Action::SignIn => match users::sign_in(&answer.username, &answer.password) {
            Some(user) => sign_in(&provider, &answer.login, user),
            None => return pages::login(&provider.config, &answer.login, Attempt::Failed),
        },
    };
    let jar = jar.remove(cookie(&provider.config, &answer.login, ""));
    (jar, outcome.map_err(pages::notice)).into_response()
}

fn cancel(provider: &Provider, login: &str) -> Result<Redirect, Notice> {
    let request = provider
        .state()
        .close_login(login, provider.now())
        .ok_or(Notice::Expired)?;
    Ok(redirect(
        &provider.config,
        request.state.as_deref(),
        ("error", "access_denied"),
    ))
}

fn sign_in(provider: &Provider, login: &str, user: &'static User) -> Result<Redirect, Notice> {
    let code = secret::random();
    let now = provider.now();
    let mut state = provider.state();
    let request = state.close_login(login, now).ok_or(Notice::Expired)?;
    let answer = redirect(&provider.config, request.state.as_deref(), ("code", &code));
    state.keep_code(
        Fingerprint::of(&code),
        Authorization {
            request,
            user,
            auth_time: now,
        },
        now,
    );
    Ok(answer)
}

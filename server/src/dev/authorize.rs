//! The authorization endpoint: checks what the client asks for and shows the login page (RFC 6749 §4.1.1).
//!
//! A request with a wrong client or redirect URI ends on a page; only after both are right may an error travel
//! to the redirect URI.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use serde::Deserialize;

use super::pages::{self, Notice};
use super::pkce::Challenge;
use super::scope::Scope;
use super::secret::{self, Fingerprint};
use super::state::{Login, Request};
use super::{Provider, config::Config};

/// Longest `state` or `nonce`, in bytes: both are kept until the person has signed in.
const ECHOED_MAX_BYTES: usize = 2048;

/// The parameters of an authorization request.
#[derive(Deserialize)]
pub(super) struct Parameters {
    client_id: Option<String>,
    redirect_uri: Option<String>,
    response_type: Option<String>,
    response_mode: Option<String>,
    scope: Option<String>,
    state: Option<String>,
    nonce: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    prompt: Option<String>,
    request: Option<String>,
    request_uri: Option<String>,
}

/// `GET /authorize`, `POST /authorize`: both are required by OpenID Connect Core §3.1.2.1.
pub(super) async fn authorize(
    State(provider): State<Arc<Provider>>,
    jar: CookieJar,
    form: Result<Form<Parameters>, FormRejection>,
) -> Response {
    let Ok(Form(parameters)) = form else {
        return pages::notice(Notice::BadRequest);
    };
    if !client_is_known(&provider.config, &parameters) {
        return pages::notice(Notice::BadRequest);
    }
    let state = parameters.state.clone();
    match understand(parameters) {
        Ok(request) => begin(&provider, jar, request),
        Err(error) => redirect(&provider.config, state.as_deref(), ("error", error)).into_response(),
    }
}

/// Sends the browser back to the client with a code or an error, and with our name beside it (RFC 9207).
pub(super) fn redirect(config: &Config, state: Option<&str>, outcome: (&str, &str)) -> Redirect {
    let mut target = config.redirect_uri.clone();
    target
        .query_pairs_mut()
        .append_pair(outcome.0, outcome.1)
        .append_pair("iss", config.issuer_id());
    if let Some(state) = state {
        target.query_pairs_mut().append_pair("state", state);
    }
    Redirect::to(target.as_str())
}

/// Name of the cookie that binds one login to one browser.
pub(super) fn cookie_name(login: &str) -> String {
    format!("ciba_dev_login_{login}")
}

/// Returns the binding cookie. It reaches the login endpoint alone, and no script.
pub(super) fn cookie(config: &Config, login: &str, value: &str) -> Cookie<'static> {
    Cookie::build((cookie_name(login), value.to_owned()))
        .path(format!("{}/login", config.issuer.path().trim_end_matches('/')))
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(config.issuer.scheme() == "https")
        .build()
}

/// Whether the browser may be sent back to the client, and the request kept meanwhile: else a page is the only safe
/// answer.
fn client_is_known(config: &Config, parameters: &Parameters) -> bool {
    let short = |text: &Option<String>| text.as_ref().is_none_or(|text| text.len() <= ECHOED_MAX_BYTES);
    parameters.client_id.as_deref() == Some(&config.client_id)
        && parameters.redirect_uri.as_deref() == Some(config.redirect_uri.as_str())
        && short(&parameters.state)
        && short(&parameters.nonce)
}

/// Returns what is asked for, or the error code for the client.
fn understand(parameters: Parameters) -> Result<Request, &'static str> {
    if parameters.request.is_some() {
        return Err("request_not_supported");
    }
    if parameters.request_uri.is_some() {
        return Err("request_uri_not_supported");
    }
    match parameters.response_type.as_deref() {
        Some("code") => {}
        Some(_) => return Err("unsupported_response_type"),
        None => return Err("invalid_request"),
    }
    if parameters.response_mode.is_some_and(|mode| mode != "query") {
        return Err("invalid_request");
    }
    let scope = Scope::of_request(parameters.scope.as_deref().unwrap_or_default());
    if !scope.contains("openid") {
        return Err("invalid_scope");
    }
    let method_is_s256 = parameters.code_challenge_method.as_deref() == Some("S256");
    let challenge = parameters
        .code_challenge
        .as_deref()
        .filter(|_| method_is_s256)
        .and_then(Challenge::parse);
    let challenge = challenge.ok_or("invalid_request")?;
    // No login outlives its request here, so every one needs a prompt (OpenID Connect Core §3.1.2.6).
    if parameters
        .prompt
        .is_some_and(|prompt| prompt.split(' ').any(|word| word == "none"))
    {
        return Err("login_required");
    }
    Ok(Request {
        challenge,
        scope,
        state: parameters.state,
        nonce: parameters.nonce,
    })
}

/// Keeps the request and shows the login page to the browser that holds the new cookie.
fn begin(provider: &Provider, jar: CookieJar, request: Request) -> Response {
    let (id, browser) = (secret::random(), secret::random());
    let login = Login {
        browser: Fingerprint::of(&browser),
        request,
    };
    provider.state().open_login(id.to_string(), login, provider.now());
    let jar = jar.add(cookie(&provider.config, &id, &browser));
    (jar, pages::login(&provider.config, &id, pages::Attempt::First)).into_response()
}

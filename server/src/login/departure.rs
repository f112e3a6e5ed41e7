//! The browser leaves for the identity provider; what it set out for is remembered until it comes back.

use axum::response::Redirect;

use super::attempt::{Attempt, Purpose};
use super::browser::Browser;
use super::logins::Logins;
use crate::cause::chain;
use crate::token::Asked;

/// Remembers what the browser sets out for, and returns where it is sent.
pub(super) async fn depart(
    logins: &Logins,
    asked: Asked,
    purpose: Purpose,
    browser: &Browser,
) -> Result<Redirect, store::Error> {
    let attempt = Attempt::new(purpose, asked.redeem, browser);
    let kept = logins.attempts.keep(&asked.state, &attempt).await;
    kept.inspect_err(|error| tracing::error!(error = chain(error), "a login could not be kept"))?;
    Ok(Redirect::to(asked.url.as_str()))
}

//! A person signs in to a browser session: out from a page of ours that needs to know them, and back to that page. The
//! identity provider is asked who the person is, and its tokens are dropped.

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::CookieJar;

use super::attempt::Purpose;
use super::browser::Browser;
use super::departure::depart;
use super::ended::Ended;
use super::logins::Logins;
use super::proved::proved;
use super::reason::plain_reason;
use crate::browser::SignIn;
use crate::cause::chain;
use crate::clock::now;
use crate::device::Return;
use crate::peer::Peer;
use crate::token::{Person, Proof, ProviderError};

/// What is remembered of the way out.
pub(super) struct Way {
    /// Where the browser is brought now; `None`: what was remembered does not open.
    pub(super) to: Option<String>,
    /// When the person was asked to prove anew who they are, Unix seconds.
    pub(super) fresh_since: Option<u64>,
}

/// `GET /login?to=…`
pub(super) async fn begin(
    State(logins): State<Logins>,
    Extension(peer): Extension<Peer>,
    jar: CookieJar,
    wanted: Result<Query<SignIn>, QueryRejection>,
) -> Response {
    let wanted = wanted.ok().map(|Query(wanted)| wanted);
    let Some(wanted) = wanted.filter(|wanted| wanted.is_ours(&logins.public_url)) else {
        return Ended::NotFound.into_response();
    };
    let browser = Browser::of(&jar, &logins.public_url).unwrap_or_else(Browser::fresh);
    let jar = jar.add(browser.cookie(&logins.public_url));
    match set_out(&logins, peer, &wanted, &browser).await {
        Ok(away) => (jar, away).into_response(),
        Err(ended) => ended.into_response(),
    }
}

async fn set_out(
    logins: &Logins,
    Peer(address): Peer,
    wanted: &SignIn,
    browser: &Browser,
) -> Result<Redirect, Ended> {
    let throttled = logins.departures.check(&address.into());
    throttled.map_err(|wait| Ended::TooMany { wait })?;
    let proof = Proof {
        fresh: wanted.fresh,
        acr_values: wanted.acr_values.clone(),
    };
    let purpose = Purpose::Browser {
        to: browser.seal(&wanted.to),
        fresh_since: wanted.fresh.then(|| now().seconds()),
    };
    let asked = logins
        .provider
        .ask_who(&proof)
        .await
        .map_err(|error| failed(&error))?;
    let away = depart(logins, asked, purpose, browser).await;
    away.map_err(|_| Ended::ServerTrouble)
}

/// The browser is back from the provider: it is signed in, and brought to where it set out from.
pub(super) async fn come_back(logins: &Logins, jar: CookieJar, back: Return, way: Way) -> Response {
    match signed_in(logins, jar, back, way).await {
        Ok(response) => response.into_response(),
        Err(ended) => ended.into_response(),
    }
}

async fn signed_in(
    logins: &Logins,
    jar: CookieJar,
    back: Return,
    way: Way,
) -> Result<(CookieJar, Redirect), Ended> {
    // Without people no browser sets out.
    let (Some(people), Some(to)) = (&logins.people, way.to) else {
        return Err(Ended::NotFound);
    };
    let person = who(logins, back).await?;
    let proved = proved(person.auth_time, way.fresh_since, now().seconds()).ok_or(Ended::NotAnew)?;
    people.remember(&person).await;
    let jar = people.sign_in(jar, person, proved).await.map_err(|error| {
        tracing::error!(error = chain(&error), "a browser session could not be kept");
        Ended::ServerTrouble
    })?;
    Ok((jar, Redirect::to(&to)))
}

async fn who(logins: &Logins, back: Return) -> Result<Person, Ended> {
    match back {
        Return::Code { code, redeem } => {
            let person = logins.provider.identify(&code, redeem).await;
            person.map_err(|error| failed(&error))
        }
        Return::Refused { error, .. } => Err(refused(&error)),
    }
}

fn failed(error: &ProviderError) -> Ended {
    tracing::warn!(error = chain(error), "a sign-in failed");
    match error {
        ProviderError::Refused(code) => refused(code),
        _ => Ended::ProviderDown,
    }
}

fn refused(code: &str) -> Ended {
    Ended::Refused {
        reason_plain: plain_reason(code),
    }
}

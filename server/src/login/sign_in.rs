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
use super::reason::plain_reason;
use crate::browser::SignIn;
use crate::cause::chain;
use crate::clock::now;
use crate::device::Return;
use crate::peer::Peer;
use crate::token::{Person, Proof, ProviderError};

/// By how much the provider's clock may differ from ours, seconds.
const CLOCKS_DIFFER: u64 = 30;

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

/// When a person proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proved {
    /// Unix seconds of our clock.
    pub(super) at: u64,
    /// Whether the provider says so. Otherwise it is only when the person came back.
    pub(super) is_said: bool,
}

/// Returns when the person proved who they are. `None`: they were asked to do it anew, and the provider does not say that
/// they did. The request for it went through the person's browser, which may have dropped it.
fn proved(said: Option<u64>, fresh_since: Option<u64>, now: u64) -> Option<Proved> {
    let at = match fresh_since {
        None => said.unwrap_or(now),
        Some(since) => {
            let said = said.filter(|said| said.saturating_add(CLOCKS_DIFFER) >= since)?;
            said.max(since)
        }
    };
    Some(Proved {
        at: at.min(now),
        is_said: said.is_some(),
    })
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

#[cfg(test)]
mod tests {
    use super::{Proved, proved};

    #[test]
    fn c_109_a_person_who_must_sign_in_anew_has_done_so_when_the_provider_says_so() {
        for (said, fresh_since, expected) in [
            (Some(50), None, Some(50)),
            (None, None, Some(100)), // Not said: no fresh proof, of whatever was asked before.
            (Some(120), None, Some(100)),
            (Some(95), Some(90), Some(95)),
            (Some(60), Some(90), Some(90)),
            (Some(59), Some(90), None),
            (Some(120), Some(90), Some(100)),
            (Some(u64::MAX), Some(90), Some(100)),
            (None, Some(90), None),
        ] {
            let is_said = said.is_some();
            let expected = expected.map(|at| Proved { at, is_said });
            assert_eq!(
                proved(said, fresh_since, 100),
                expected,
                "{said:?} {fresh_since:?}"
            );
        }
    }
}

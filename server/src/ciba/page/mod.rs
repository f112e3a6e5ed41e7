//! The approval page: a person sees what a client asks for, and approves or denies it (C-233). A person who is not signed
//! in, or not well enough for the request, signs in first and comes back.

mod ask;
mod notice;
mod rows;
mod words;

use axum::Form;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::CookieJar;
use http::StatusCode;
use serde::Deserialize;

use self::ask::{Ask, other_person, path};
use self::notice::Notice;
use super::decide::{Decision, No, Shown, Status};
use super::part::Part;
use super::provider::Ciba;
use crate::browser::{BrowserSession, SignIn};
use crate::cause::chain;
use crate::clock::now;
use crate::oauth::plain::{legible, plain};
use crate::page::respond;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    auth_req_id: String,
}

/// What the page's form sends.
#[derive(Deserialize)]
pub(super) struct Answer {
    auth_req_id: String,
    form_token: String,
    decision: Answered,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answered {
    Approve,
    Deny,
}

/// Why the person is not asked now.
enum Instead {
    /// There is nothing to ask.
    Tell(Notice),
    /// The person must prove first who they are.
    SignIn(SignIn),
}

/// `GET /ciba/approve?auth_req_id=…`
pub(super) async fn show(
    State(ciba): State<Ciba>,
    jar: CookieJar,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let Ok(Query(Asked { auth_req_id: id })) = asked else {
        return Notice::Unknown.into_response();
    };
    match waiting(&ciba, &jar, &id).await {
        Ok((shown, session)) => {
            let place = (&*ciba.config.approval_page, &*id);
            respond(
                StatusCode::OK,
                &Ask::of(&shown.question, &session, place, now().seconds()),
            )
        }
        Err(Instead::SignIn(first)) => Redirect::to(&first.path()).into_response(),
        Err(Instead::Tell(notice)) => notice.into_response(),
    }
}

/// `POST /ciba/approve`
pub(super) async fn answer(
    State(ciba): State<Ciba>,
    jar: CookieJar,
    answer: Result<Form<Answer>, FormRejection>,
) -> Response {
    let Ok(Form(answer)) = answer else {
        return Notice::Unknown.into_response();
    };
    decide(&ciba, &jar, answer)
        .await
        .unwrap_or_else(|notice| notice)
        .into_response()
}

/// The answer ends on a page of its own and sends the browser nowhere: the request may be redeemed, and unknown, by the
/// time that the browser asks again.
async fn decide(ciba: &Ciba, jar: &CookieJar, answer: Answer) -> Result<Notice, Notice> {
    let stale = || Notice::Stale {
        page: path(&ciba.config.approval_page, &answer.auth_req_id),
    };
    let (shown, session) =
        waiting(ciba, jar, &answer.auth_req_id)
            .await
            .map_err(|instead| match instead {
                Instead::Tell(notice) => notice,
                // Browsers do not let a form lead to the provider's site (CSP form-action): a link does.
                Instead::SignIn(_) => stale(),
            })?;
    if !session.is_from_our_page(&answer.form_token) {
        return Err(stale());
    }
    let client_name = plain(&shown.question.client_name);
    let (decision, notice) = match answer.decision {
        Answered::Approve => (Decision::Approve, Notice::Approved { client_name }),
        Answered::Deny => (Decision::Reject, Notice::Rejected { client_name }),
    };
    let decided = ciba
        .decide(
            &answer.auth_req_id,
            &session.person.into(),
            decision,
            &Part::default(),
        )
        .await;
    match decided {
        Ok(()) => Ok(notice),
        Err(No::NeedsFreshLogin) => Err(stale()),
        Err(no) => Err(told(no)),
    }
}

/// Returns the request and the session of the person who may decide it now.
async fn waiting(ciba: &Ciba, jar: &CookieJar, id: &str) -> Result<(Shown, BrowserSession), Instead> {
    let shown = ciba.shown(id).await.map_err(|no| Instead::Tell(told(no)))?;
    match shown.status {
        Status::Pending => {}
        Status::Approved => return Err(Instead::Tell(Notice::WasApproved)),
        Status::Rejected => return Err(Instead::Tell(Notice::WasRejected)),
    }
    let session = ciba.browsers.of(jar).await.map_err(|error| {
        tracing::error!(error = chain(&error), "a browser's session could not be read");
        Instead::Tell(Notice::Trouble)
    })?;
    let page = &ciba.config.approval_page;
    let foreign = session
        .as_ref()
        .filter(|session| shown.sub.as_ref() != Some(&session.person.sub));
    if let Some(session) = foreign {
        return Err(Instead::Tell(Notice::Foreign {
            person: legible(&session.person.name),
            other_person: other_person(page, id),
        }));
    }
    match (unproved(&shown, session.as_ref(), path(page, id)), session) {
        (None, Some(session)) => Ok((shown, session)),
        (first, _) => Err(Instead::SignIn(first.unwrap_or_default())),
    }
}

/// Returns the sign-in that the request needs first, if any.
fn unproved(shown: &Shown, session: Option<&BrowserSession>, to: String) -> Option<SignIn> {
    let proved_at = session.and_then(|session| session.person.proved_at());
    let is_fresh = proved_at.is_some_and(|at| at >= shown.question.created_at);
    let fresh = shown.needs_fresh_login && !is_fresh;
    (session.is_none_or(|session| fresh || is_too_weak(shown, session))).then(|| SignIn {
        to,
        fresh,
        acr_values: shown.acr_values.join(" "),
    })
}

/// Whether the provider might prove more of the person (C-109). It is asked once for a request: what it does not do then,
/// it cannot do.
fn is_too_weak(shown: &Shown, session: &BrowserSession) -> bool {
    let is_wanted = |acr: &String| shown.acr_values.contains(acr);
    let is_satisfied = shown.acr_values.is_empty() || session.person.acr.as_ref().is_some_and(is_wanted);
    !is_satisfied && session.began < shown.question.created_at
}

/// Returns what the person is told when the request is not shown, or not decided.
fn told(no: No) -> Notice {
    match no {
        // Who is asked is not said to those who only know the link.
        No::Unknown | No::PersonGone => Notice::Unknown,
        No::Expired => Notice::Expired,
        No::ClientGone => Notice::ClientGone,
        No::Decided => Notice::Decided,
        // Asked about by the page itself before: the request was changed meanwhile.
        No::Foreign | No::NeedsFreshLogin | No::Unavailable | No::NotItsScope | No::NotItsDetails => {
            Notice::Trouble
        }
    }
}

#[cfg(test)]
mod tests;

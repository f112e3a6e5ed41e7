//! The approval page: who asks for what, and the two answers (C-233). The words are in the template.

use askama::Template;
use serde_json::Value;

use super::rows::{Row, rows};
use super::words;
use crate::browser::{BrowserSession, SignIn};
use crate::ciba::question::Question;
use crate::oauth::plain::{legible, plain};

/// Asks the person for a decision.
#[derive(Template)]
#[template(path = "approve.html")]
pub(super) struct Ask<'a> {
    /// The path of the page, to which the form is posted.
    pub(super) page: &'a str,
    pub(super) auth_req_id: &'a str,
    form_token: &'a str,
    /// Where another person signs in.
    other_person: String,
    /// Who is signed in.
    person: String,
    client_name: String,
    /// The host of the client's own page.
    client_host: Option<String>,
    /// Whether the operator says so, not the client alone.
    client_vouched: bool,
    binding_message: Option<String>,
    scopes: Vec<Wish>,
    resources: Vec<String>,
    details: Vec<Detail>,
    agent_claims: Vec<Row>,
    time_left: String,
    /// Seconds after which the page is loaded again: the request has expired then.
    reload_after: u64,
}

/// A scope.
struct Wish {
    name: String,
    words: Option<&'static str>,
}

/// An element of `authorization_details`.
struct Detail {
    kind: String,
    rows: Vec<Row>,
}

impl<'a> Ask<'a> {
    pub(super) fn of(
        question: &Question,
        session: &'a BrowserSession,
        (page, auth_req_id): (&'a str, &'a str),
        now: u64,
    ) -> Self {
        let left = question.expires_at.saturating_sub(now);
        Self {
            page,
            auth_req_id,
            form_token: &session.form_token,
            other_person: other_person(page, auth_req_id),
            person: legible(&session.person.name),
            client_name: plain(&question.client_name),
            client_host: question
                .client_uri
                .as_ref()
                .and_then(|uri| uri.host_str())
                .map(plain),
            client_vouched: question.client_vouched,
            binding_message: question.binding_message.as_deref().map(legible),
            scopes: question.scope.iter().map(|name| wish(name)).collect(),
            resources: question
                .resources
                .iter()
                .map(|resource| plain(resource))
                .collect(),
            details: details(question.authorization_details.as_ref()),
            agent_claims: question
                .agent_claims
                .iter()
                .flat_map(|claims| rows(claims, &[]))
                .collect(),
            time_left: words::time_left(left),
            reload_after: left + 1,
        }
    }
}

/// Returns the path of the page for one request.
pub(super) fn path(page: &str, auth_req_id: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    format!(
        "{page}?{}",
        query.append_pair("auth_req_id", auth_req_id).finish()
    )
}

/// Returns where another person signs in and comes back to the page.
pub(super) fn other_person(page: &str, auth_req_id: &str) -> String {
    let sign_in = SignIn {
        to: path(page, auth_req_id),
        fresh: true,
        ..SignIn::default()
    };
    sign_in.path()
}

fn wish(name: &str) -> Wish {
    Wish {
        name: plain(name),
        words: words::scope(name),
    }
}

fn details(all: Option<&Value>) -> Vec<Detail> {
    let all = all.and_then(Value::as_array).into_iter().flatten();
    all.map(|one| Detail {
        kind: plain(one["type"].as_str().unwrap_or_default()),
        rows: rows(one, &["type"]),
    })
    .collect()
}

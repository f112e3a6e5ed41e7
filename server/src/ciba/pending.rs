//! A request as the person's terminal sees it (C-211), and the terminals as this room sees them.

use device_proto::sheet;
use url::Url;

use super::details;
use super::name::Name;
use super::question::Question;
use super::request::Request;
use crate::config;

/// What waits for a person's decision.
pub(crate) struct Pending {
    pub(crate) name: Name,
    pub(crate) sub: String,
    pub(crate) question: Question,
    /// The page on which it can be decided.
    pub(crate) approval_url: Url,
    /// Whether it can be approved on the page alone.
    pub(crate) needs_browser: bool,
}

/// Whether a terminal shows all of a question (D-066): what a person does not see there they do not approve there.
pub(super) fn fits_terminal(question: &Question) -> bool {
    let uri = question.client_uri.as_ref().map_or("", Url::as_str);
    let message = question.binding_message.as_deref().unwrap_or_default();
    let scope = question.scope.join(", ");
    let details = question.authorization_details.as_ref();
    [&question.client_name, uri, message, &scope]
        .into_iter()
        .all(sheet::fits_text)
        && sheet::fits_list(&question.resources)
        && details.is_none_or(sheet::fits_details)
        && question.agent_claims.as_ref().is_none_or(sheet::fits_statement)
}

/// The terminals of all people: the device sessions, as this room sees them.
pub(crate) trait Terminals: Send + Sync {
    /// Whether this person has one that is connected.
    fn are_there(&self, sub: &str) -> bool;
    /// A person is asked.
    fn show(&self, pending: &Pending);
    /// A person is no longer asked.
    fn withdraw(&self, sub: &str, name: &Name);
}

/// Whether a request needs a login in the browser that was made for it: what the operator says, or a terminal that may not
/// answer at all.
pub(super) fn needs_fresh_login(request: &Request, terminal: &config::Terminal) -> bool {
    let is_named = |name: &str, names: &[String]| names.iter().any(|own| own == name);
    let by_scope = request
        .scope
        .iter()
        .any(|scope| is_named(scope, &terminal.fresh_login_scopes));
    let details = request.authorization_details.iter().flat_map(details::types);
    let by_details = details
        .flatten()
        .any(|name| is_named(name, &terminal.fresh_login_details));
    by_scope || by_details
}

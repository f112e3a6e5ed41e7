//! What a client may ask for: scopes and resources that the server knows and that are not closed to the client. A client that
//! registered itself has what it named, and what the operator gives to every such client.

use url::Url;

use super::client::Client;
use super::parameters::Parameters;
use crate::config::OAuth;

/// Reads the values of a `scope` parameter; repeats are dropped, the order stays (C-102). `None`: one of them is unknown, or
/// not allowed for the client.
pub(crate) fn scope(asked: &str, client: &Client, oauth: &OAuth) -> Option<Vec<String>> {
    let mut scope: Vec<String> = Vec::new();
    for value in asked.split(' ').filter(|value| !value.is_empty()) {
        if !may_ask_for(client, oauth, value) {
            return None;
        }
        if !scope.iter().any(|own| own == value) {
            scope.push(value.to_owned());
        }
    }
    Some(scope)
}

/// Whether a client may ask for a scope: one that the server knows.
pub(crate) fn may_ask_for(client: &Client, oauth: &OAuth, scope: &str) -> bool {
    let is_known = oauth.scopes.iter().any(|known| known == scope);
    let allowed = client.metadata.scope.as_deref();
    is_known && allowed.is_none_or(|allowed| allowed.split(' ').any(|own| own == scope))
}

/// Reads the `resource` parameters (RFC 8707 §2, C-111); repeats are dropped. `None`: the client may not have one of them.
pub(crate) fn resources(parameters: &Parameters, may_have: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let mut resources: Vec<String> = Vec::new();
    for resource in parameters.all("resource") {
        if !may_have(resource) {
            return None;
        }
        if !resources.iter().any(|own| own == resource) {
            resources.push(resource.to_owned());
        }
    }
    Some(resources)
}

/// Whether a client may get tokens for a resource: an absolute URI without fragment, which the server knows (RFC 8707 §2).
pub(crate) fn may_have(client: &Client, oauth: &OAuth, resource: &str) -> bool {
    let is_uri = Url::parse(resource).is_ok_and(|uri| uri.fragment().is_none());
    let is_known = oauth.resources.iter().any(|known| known == resource);
    let allowed = if client.is_vouched_for() {
        client.metadata.terms.resources.as_deref()
    } else {
        Some(&*oauth.registration_resources)
    };
    is_uri && is_known && allowed.is_none_or(|allowed| allowed.iter().any(|own| own == resource))
}

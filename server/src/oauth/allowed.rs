//! What a client may ask for: scopes and resources that the server knows and that are not closed to the client.

use url::Url;

use super::client::Client;
use super::parameters::Parameters;
use crate::config::OAuth;

/// Reads the values of a `scope` parameter; repeats are dropped, the order stays (C-102). `None`: one of them is unknown, or
/// not allowed for the client.
pub(crate) fn scope(asked: &str, client: &Client, oauth: &OAuth) -> Option<Vec<String>> {
    let allowed = client.metadata.scope.as_deref();
    let mut scope: Vec<String> = Vec::new();
    for value in asked.split(' ').filter(|value| !value.is_empty()) {
        let is_known = oauth.scopes.iter().any(|known| known == value);
        let is_allowed = allowed.is_none_or(|allowed| allowed.split(' ').any(|own| own == value));
        if !is_known || !is_allowed {
            return None;
        }
        if !scope.iter().any(|own| own == value) {
            scope.push(value.to_owned());
        }
    }
    Some(scope)
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
    let allowed = client.metadata.terms.resources.as_deref();
    is_uri && is_known && allowed.is_none_or(|allowed| allowed.iter().any(|own| own == resource))
}

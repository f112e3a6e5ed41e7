//! The parameters of the authentication request (CIBA Core §7.1, RFC 8707, RFC 9396), and what is wrong with them before a
//! provider is asked.

use ipc_proto::{Backchannel, Hint, SecretText};
use serde_json::Value;

use super::authenticate::Field;
use super::error::RequestError;

/// Holds the request to what every provider wants. The provider checks the rest.
pub(super) fn check(asked: &Backchannel) -> Result<(), RequestError> {
    if !asked
        .scope
        .split_ascii_whitespace()
        .any(|scope| scope == "openid")
    {
        return Err(RequestError::Parameter(
            "the scope has to contain openid: --scope \"openid …\"",
        ));
    }
    if asked.requested_expiry == Some(0) {
        return Err(RequestError::Parameter("a request cannot lapse at once"));
    }
    let details = asked.authorization_details.as_deref().map(serde_json::from_str);
    match details {
        None | Some(Ok(Value::Array(_))) => Ok(()),
        Some(_) => Err(RequestError::Parameter(
            "the authorization details are no JSON array",
        )),
    }
}

/// Returns the form. `notification_token` is there for pings.
pub(super) fn fields<'a>(
    asked: &'a Backchannel,
    notification_token: Option<&'a str>,
    requested_expiry: Option<&'a str>,
) -> Vec<Field<'a>> {
    let hint = match &asked.hint {
        Hint::LoginHint(name) => ("login_hint", name.as_str()),
        Hint::LoginHintToken(token) => ("login_hint_token", token.expose()),
        Hint::IdTokenHint(token) => ("id_token_hint", token.expose()),
    };
    let optional = [
        ("binding_message", asked.binding_message.as_deref()),
        ("requested_expiry", requested_expiry),
        ("acr_values", asked.acr_values.as_deref()),
        ("authorization_details", asked.authorization_details.as_deref()),
        ("user_code", asked.user_code.as_ref().map(SecretText::expose)),
        ("client_notification_token", notification_token),
    ];
    let given = optional
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let resources = asked
        .resource
        .iter()
        .map(|resource| ("resource", resource.as_str()));
    [("scope", asked.scope.as_str()), hint]
        .into_iter()
        .chain(given)
        .chain(resources)
        .collect()
}

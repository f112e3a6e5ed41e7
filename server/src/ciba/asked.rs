//! What a client asks for, read from the parameters of its request (C-100 … C-118). Nothing is looked up here.

use serde_json::Value;
use url::Url;

use super::details;
use crate::config::{self, Mode};
use crate::oauth::allowed::{self, may_have};
use crate::oauth::client::Client;
use crate::oauth::parameters::Parameters;
use crate::oauth::plain::is_legible;
use crate::oauth::unique;
use crate::refusal::Refusal;

/// Characters of a binding message (C-105).
const MAX_BINDING_MESSAGE: usize = 256;

/// Characters of a `login_hint` (C-181).
const MAX_LOGIN_HINT: usize = 1024;

/// Characters of a `client_notification_token` (C-103).
const MAX_NOTIFICATION_TOKEN: usize = 1024;

/// Characters of a notification token that has the 128 bits of CIBA Core §7.1, in the densest alphabet that it may have.
const DENSE_NOTIFICATION_TOKEN: usize = 21;

/// Characters of `acr_values`.
const MAX_ACR_VALUES: usize = 1024;

/// Bytes of `agent_claims` (C-113).
const MAX_AGENT_CLAIMS: usize = 4 * 1024;

/// Digits of `requested_expiry` (C-108).
const MAX_EXPIRY_DIGITS: usize = 9;

const NO_SCOPE: Refusal = Refusal::invalid_request("scope is missing");
const NO_OPENID: Refusal = Refusal::invalid_scope("scope must contain openid");
const BAD_SCOPE: Refusal = Refusal::invalid_scope("a scope is unknown, or not allowed for the client");
const NO_NOTIFICATION_TOKEN: Refusal = Refusal::invalid_request("client_notification_token is missing");
const BAD_NOTIFICATION_TOKEN: Refusal =
    Refusal::invalid_request("client_notification_token is not a bearer token of 1 to 1024 characters");
const NOT_ONE_HINT: Refusal =
    Refusal::invalid_request("exactly one of login_hint, login_hint_token and id_token_hint is needed");
const LONG_HINT: Refusal = Refusal::invalid_request("login_hint has more than 1024 characters");
const NO_BINDING_MESSAGE: Refusal = Refusal::invalid_request("binding_message is missing");
const BAD_BINDING_MESSAGE: Refusal = Refusal::invalid_binding_message(
    "binding_message has 1 to 256 characters, one of them visible, and no control characters",
);
const BAD_EXPIRY: Refusal =
    Refusal::invalid_request("requested_expiry is not a positive integer of at most 9 digits");
const LONG_ACR_VALUES: Refusal = Refusal::invalid_request("acr_values has more than 1024 characters");
const BAD_RESOURCE: Refusal = Refusal::invalid_target("a resource is unknown, or not allowed for the client");
const BAD_AGENT_CLAIMS: Refusal =
    Refusal::invalid_request("agent_claims is not a JSON object of at most 4096 bytes");
const REFUSED: Refusal = Refusal::invalid_request("request_uri and registration are not supported");
const OTHER_ENDPOINT: Refusal = Refusal::invalid_request("client_notification_uri is not allowed here");

/// The parameters that are read here.
pub(super) const NAMES: [&str; 16] = [
    "scope",
    "client_notification_token",
    "login_hint",
    "login_hint_token",
    "id_token_hint",
    "request_uri",
    "registration",
    "client_notification_uri",
    "binding_message",
    "user_code",
    "requested_expiry",
    "acr_values",
    "authorization_details",
    "resource",
    "agent_claims",
    "request",
];

/// What a client asks for.
pub(super) struct Asked {
    pub(super) scope: Vec<String>,
    pub(super) hint: Hint,
    /// Of ping and push clients.
    pub(super) notification_token: Option<String>,
    /// Where to tell the client, if not at its registered endpoint (C-114).
    pub(super) notification_uri: Option<Url>,
    pub(super) binding_message: Option<String>,
    pub(super) user_code: Option<String>,
    /// Seconds.
    pub(super) requested_expiry: Option<u64>,
    pub(super) acr_values: Vec<String>,
    pub(super) authorization_details: Option<Value>,
    pub(super) resources: Vec<String>,
    pub(super) agent_claims: Option<Value>,
}

/// Whom a client means. It names a person: there is no `Debug` (C-407).
pub(super) enum Hint {
    Login(String),
    LoginToken(String),
    IdToken(String),
}

impl Asked {
    /// Reads the parameters in the order of C-014.
    pub(super) fn read(
        parameters: &Parameters,
        client: &Client,
        oauth: &config::OAuth,
        (ciba, types): (&config::Ciba, &details::Types),
    ) -> Result<Self, Refusal> {
        let scope = scope(parameters, client, oauth)?;
        let notification_token = notification_token(parameters, client)?;
        let hint = hint(parameters)?;
        if parameters
            .get("request_uri")
            .or(parameters.get("registration"))
            .is_some()
        {
            return Err(REFUSED);
        }
        let needs_message = ciba.require_binding_message || client.metadata.terms.require_binding_message;
        Ok(Self {
            scope,
            hint,
            notification_token,
            notification_uri: notification_uri(parameters, client)?,
            binding_message: binding_message(parameters, needs_message)?,
            user_code: parameters.get("user_code").map(str::to_owned),
            requested_expiry: parameters.get("requested_expiry").map(expiry).transpose()?,
            acr_values: acr_values(parameters)?,
            authorization_details: details::read(parameters, client, types)?,
            resources: allowed::resources(parameters, |resource| may_have(client, oauth, resource))
                .ok_or(BAD_RESOURCE)?,
            agent_claims: parameters.get("agent_claims").map(agent_claims).transpose()?,
        })
    }
}

/// C-101, C-102
fn scope(parameters: &Parameters, client: &Client, oauth: &config::OAuth) -> Result<Vec<String>, Refusal> {
    let asked = parameters.get("scope").ok_or(NO_SCOPE)?;
    let scope = allowed::scope(asked, client, oauth).ok_or(BAD_SCOPE)?;
    if !scope.iter().any(|value| value == "openid") {
        return Err(NO_OPENID);
    }
    Ok(scope)
}

/// C-103: RFC 6750 §2.1 syntax. A poll client's is ignored.
fn notification_token(parameters: &Parameters, client: &Client) -> Result<Option<String>, Refusal> {
    if client.metadata.backchannel_token_delivery_mode == Some(Mode::Poll) {
        return Ok(None);
    }
    let token = parameters
        .get("client_notification_token")
        .ok_or(NO_NOTIFICATION_TOKEN)?;
    let stem = token.trim_end_matches('=');
    let is_bearer = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if stem.is_empty() || token.len() > MAX_NOTIFICATION_TOKEN || !stem.bytes().all(is_bearer) {
        return Err(BAD_NOTIFICATION_TOKEN);
    }
    if token.len() < DENSE_NOTIFICATION_TOKEN {
        tracing::warn!(
            client = client.id,
            "a client_notification_token has less than 128 bits"
        );
    }
    Ok(Some(token.to_owned()))
}

/// C-180
fn hint(parameters: &Parameters) -> Result<Hint, Refusal> {
    let hint = |name| parameters.get(name).map(str::to_owned);
    match (
        hint("login_hint"),
        hint("login_hint_token"),
        hint("id_token_hint"),
    ) {
        (Some(hint), None, None) if hint.chars().count() > MAX_LOGIN_HINT => Err(LONG_HINT),
        (Some(hint), None, None) => Ok(Hint::Login(hint)),
        (None, Some(token), None) => Ok(Hint::LoginToken(token)),
        (None, None, Some(token)) => Ok(Hint::IdToken(token)),
        _ => Err(NOT_ONE_HINT),
    }
}

/// C-114: only where the operator allows it, and only below the origin of the registered endpoint.
fn notification_uri(parameters: &Parameters, client: &Client) -> Result<Option<Url>, Refusal> {
    let Some(uri) = parameters.get("client_notification_uri") else {
        return Ok(None);
    };
    let uri = Url::parse(uri).map_err(|_| OTHER_ENDPOINT)?;
    let registered = client.metadata.backchannel_client_notification_endpoint.as_ref();
    let is_ours = registered.is_some_and(|registered| {
        registered.origin() == uri.origin()
            && uri.fragment().is_none()
            && uri.username().is_empty()
            && uri.password().is_none()
    });
    if !client.metadata.terms.client_notification_uri || !is_ours {
        return Err(OTHER_ENDPOINT);
    }
    Ok(Some(uri))
}

/// C-105, C-106
fn binding_message(parameters: &Parameters, is_needed: bool) -> Result<Option<String>, Refusal> {
    match parameters.get("binding_message") {
        None if is_needed => Err(NO_BINDING_MESSAGE),
        None => Ok(None),
        Some(text) if text.chars().count() > MAX_BINDING_MESSAGE || !is_legible(text) => {
            Err(BAD_BINDING_MESSAGE)
        }
        Some(text) => Ok(Some(text.to_owned())),
    }
}

/// C-108
fn expiry(text: &str) -> Result<u64, Refusal> {
    let is_plain = text.len() <= MAX_EXPIRY_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|seconds| is_plain && *seconds > 0);
    seconds.ok_or(BAD_EXPIRY)
}

/// C-109
fn acr_values(parameters: &Parameters) -> Result<Vec<String>, Refusal> {
    let values = parameters.get("acr_values").unwrap_or_default();
    if values.len() > MAX_ACR_VALUES {
        return Err(LONG_ACR_VALUES);
    }
    let values = values.split(' ').filter(|value| !value.is_empty());
    Ok(values.map(str::to_owned).collect())
}

/// C-113
fn agent_claims(text: &str) -> Result<Value, Refusal> {
    let claims = Some(text).filter(|text| text.len() <= MAX_AGENT_CLAIMS);
    let claims = claims.and_then(unique::parse);
    claims.filter(Value::is_object).ok_or(BAD_AGENT_CLAIMS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::ciba::details::Types;
    use crate::config::Config;
    use crate::oauth::jwt::tests::client;

    /// The section as it is when nothing is written in it.
    fn defaults() -> config::Ciba {
        let text =
            "[login]\nissuer = \"https://idp.example\"\nclient_id = \"ciba\"\n[ciba]\nenabled = true\n";
        let parsed = Config::parse(text, "ciba.toml", std::path::Path::new("."), std::iter::empty());
        parsed.unwrap().ciba.unwrap()
    }

    /// Values that come near the edges of some rule.
    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[0-9]{0,12}",
            "(openid|profile|admin| |\t){0,6}",
            "[\\[\\]{}\":,a-z0-9]{0,40}",
            r#"\[\{"type":"[a-z]{0,3}"(,"x":\[{0,20}\]{0,20})?\}\]"#,
            "https?://[a-z@:/#?.]{0,20}",
            "[A-Za-z0-9._~+/=-]{0,1100}",
        ]
    }

    proptest! {
        #[test]
        fn c_100_c_118_any_parameters_are_read_or_refused_and_what_is_read_keeps_to_the_limits(
            given in prop::collection::btree_map(prop::sample::select(NAMES.to_vec()), value(), 0..8),
            has_basics in any::<bool>(),
            pings in any::<bool>(),
        ) {
            let mut parameters = Parameters::default();
            for (name, value) in given {
                parameters.add(name, value.into()).unwrap();
            }
            if has_basics {
                for (name, value) in [("scope", "openid"), ("login_hint", "alice")] {
                    // The other may be there.
                    let _ = parameters.add(name, value.to_owned().into());
                }
            }
            let (ciba, types) = (defaults(), Types::new(None).unwrap());
            let mut client = client("c", &json!({ "keys": [] }));
            client.metadata.backchannel_token_delivery_mode = Some(if pings { Mode::Ping } else { Mode::Poll });
            if let Ok(asked) = Asked::read(&parameters, &client, &config::OAuth::default(), (&ciba, &types)) {
                prop_assert!(asked.scope.iter().any(|scope| scope == "openid"));
                prop_assert!(asked.requested_expiry != Some(0));
                prop_assert_eq!(asked.notification_token.is_some(), pings);
                let fits = |message: String| message.chars().count() <= MAX_BINDING_MESSAGE && is_legible(&message);
                prop_assert!(asked.binding_message.is_none_or(fits));
                prop_assert!(asked.notification_uri.is_none() && asked.resources.is_empty());
                prop_assert!(asked.agent_claims.is_none_or(|claims| claims.is_object()));
            }
        }
    }
}

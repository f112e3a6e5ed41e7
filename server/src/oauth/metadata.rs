//! What a client may be (C-042 … C-052): one set of rules for the clients of the configuration, of administrators and of
//! registration (RFC 7591 §2).

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use super::certificate_name::CertificateName;
use super::client::{AuthMethod, CIBA_GRANT, Metadata};
use super::jwt::KeySet;
use super::offer::Offer;
use super::plain::is_plain;
use crate::config::{Mode, Terms};
use crate::outgoing::notification_endpoint;
use crate::refusal::Refusal;

/// Characters of a client's name.
const MAX_NAME: usize = 200;

/// Characters of any other text of a client, or of one of its URLs.
const MAX_TEXT: usize = 2048;

/// Entries of any list of a client.
const MAX_LISTED: usize = 64;

/// The members that are read.
const NAMES: [&str; 24] = [
    "authorization_details_types",
    "backchannel_authentication_request_signing_alg",
    "backchannel_client_notification_endpoint",
    "backchannel_token_delivery_mode",
    "backchannel_user_code_parameter",
    "client_name",
    "client_uri",
    "grant_types",
    "id_token_signed_response_alg",
    "jwks",
    "jwks_uri",
    "logo_uri",
    "redirect_uris",
    "response_types",
    "scope",
    "subject_type",
    "tls_client_auth_san_dns",
    "tls_client_auth_san_email",
    "tls_client_auth_san_ip",
    "tls_client_auth_san_uri",
    "tls_client_auth_subject_dn",
    "tls_client_certificate_bound_access_tokens",
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
];

/// Returns a refusal that begins with the name of the member.
macro_rules! wrong {
    ($($name:ident = $text:literal;)+) => {
        $(const $name: Refusal = Refusal::invalid_client_metadata($text);)+
    };
}

wrong! {
    NAME = "client_name: must be a text of 1 to 200 printable characters";
    CLIENT_URI = "client_uri: must be a URL that begins with https:// or http://";
    LOGO_URI = "logo_uri: must be a URL that begins with https:// or http://";
    GRANTS = "grant_types: must be a list of grants that this server has";
    NO_GRANT = "grant_types: must have a grant, unless tokens are pushed";
    NO_CIBA_GRANT = "grant_types: must have urn:openid:params:grant-type:ciba, since tokens are polled for";
    SCOPE = "scope: must be scopes that this server has, with a space between two";
    AUTH_METHOD = "token_endpoint_auth_method: must be one of those that this server has";
    AUTH_ALG = "token_endpoint_auth_signing_alg: must be RS256, PS256, ES256 or EdDSA";
    KEYS = "jwks: must be a set of public keys for signatures with different kid, RSA keys of 2048 bits at least";
    KEYS_URI = "jwks_uri: must be an https URL without fragment and user, of at most 2048 characters";
    TWO_KEY_SETS = "jwks: excludes jwks_uri";
    NO_KEYS = "jwks: this or jwks_uri is needed for what is signed, and for a certificate of the client's own";
    ID_TOKEN_ALG = "id_token_signed_response_alg: must be RS256, PS256, ES256 or EdDSA";
    MODE = "backchannel_token_delivery_mode: must be one of those that this server has";
    NO_MODE = "backchannel_token_delivery_mode: is needed";
    ENDPOINT = "backchannel_client_notification_endpoint: must be an https URL without fragment and user, of at most 2048 characters";
    NO_ENDPOINT = "backchannel_client_notification_endpoint: is needed for ping and push";
    REQUEST_ALG = "backchannel_authentication_request_signing_alg: must be RS256, PS256, ES256 or EdDSA";
    USER_CODE = "backchannel_user_code_parameter: must be true or false, and true only where this server has user codes";
    DETAILS = "authorization_details_types: must be a list of types that this server has";
    RESPONSE_TYPES = "response_types: must be a list of texts";
    SUBJECT_TYPE = "subject_type: must be public";
    SUBJECT_DN = "tls_client_auth_subject_dn: must be a subject as RFC 4514 writes it, such as CN=reports,O=Example";
    SAN_DNS = "tls_client_auth_san_dns: must be a name of the client's certificate";
    SAN_URI = "tls_client_auth_san_uri: must be a URI of the client's certificate";
    SAN_IP = "tls_client_auth_san_ip: must be an address of the client's certificate";
    SAN_EMAIL = "tls_client_auth_san_email: must be a mail address of the client's certificate";
    NO_CERTIFICATE_NAME = "tls_client_auth_subject_dn: this or one of tls_client_auth_san_dns, _uri, _ip, _email is needed for tls_client_auth";
    TWO_CERTIFICATE_NAMES = "tls_client_auth_subject_dn: excludes tls_client_auth_san_dns, _uri, _ip, _email, and they each other";
    BOUND_TOKENS = "tls_client_certificate_bound_access_tokens: must be false, since this server reads no certificates";
}
const REDIRECT_URIS: Refusal =
    Refusal::invalid_redirect_uri("redirect_uris: must be a list of absolute URLs without fragment");

/// Returns a member that no rule names. For an operator it is a mistake; registration has to ignore it (RFC 7591 §2).
pub(crate) fn unknown_member(registered: &Map<String, Value>) -> Option<&str> {
    registered
        .keys()
        .map(String::as_str)
        .find(|name| !NAMES.contains(name))
}

/// Reads what a client registers, and checks it against what the server offers. Members that no rule names are ignored.
/// A client without a name goes by its id.
pub(crate) fn checked(registered: Map<String, Value>, id: &str, offer: &Offer) -> Result<Metadata, Refusal> {
    let mut members = Members(registered);
    if members
        .take::<String>("subject_type", SUBJECT_TYPE)?
        .is_some_and(|kind| kind.trim() != "public")
    {
        return Err(SUBJECT_TYPE);
    }
    let method = auth_method(&mut members, offer)?;
    let metadata = Metadata {
        client_name: name(&mut members)?.unwrap_or_else(|| id.to_owned()),
        client_uri: web_page(&mut members, "client_uri", CLIENT_URI)?,
        logo_uri: web_page(&mut members, "logo_uri", LOGO_URI)?,
        grant_types: grant_types(&mut members, offer)?,
        scope: scope(&mut members, offer)?,
        token_endpoint_auth_method: method,
        token_endpoint_auth_signing_alg: members.take("token_endpoint_auth_signing_alg", AUTH_ALG)?,
        jwks: keys(&mut members)?,
        jwks_uri: endpoint(&mut members, "jwks_uri", KEYS_URI, offer)?,
        id_token_signed_response_alg: members
            .take("id_token_signed_response_alg", ID_TOKEN_ALG)?
            .unwrap_or(super::client::Alg::RS256),
        backchannel_token_delivery_mode: mode(&mut members, offer)?,
        backchannel_client_notification_endpoint: endpoint(
            &mut members,
            "backchannel_client_notification_endpoint",
            ENDPOINT,
            offer,
        )?,
        backchannel_authentication_request_signing_alg: members
            .take("backchannel_authentication_request_signing_alg", REQUEST_ALG)?,
        backchannel_user_code_parameter: flag(
            &mut members,
            "backchannel_user_code_parameter",
            USER_CODE,
            offer.user_codes,
        )?,
        authorization_details_types: details_types(&mut members, offer)?,
        redirect_uris: redirect_uris(&mut members)?,
        response_types: members
            .texts("response_types", RESPONSE_TYPES)?
            .unwrap_or_default(),
        certificate_name: certificate_name(&mut members)?,
        tls_client_certificate_bound_access_tokens: flag(
            &mut members,
            "tls_client_certificate_bound_access_tokens",
            BOUND_TOKENS,
            offer.has_certificates(),
        )?,
        terms: Terms::default(),
    };
    together(metadata)
}

/// Checks what no member can say alone.
fn together(mut metadata: Metadata) -> Result<Metadata, Refusal> {
    use AuthMethod::{PrivateKeyJwt, SelfSignedTlsClientAuth, TlsClientAuth};
    let method = metadata.token_endpoint_auth_method;
    let signs = metadata.backchannel_authentication_request_signing_alg.is_some();
    let needs_keys = signs || matches!(method, PrivateKeyJwt | SelfSignedTlsClientAuth);
    match (&metadata.jwks, &metadata.jwks_uri) {
        (Some(_), Some(_)) => return Err(TWO_KEY_SETS),
        (None, None) if needs_keys => return Err(NO_KEYS),
        _ => {}
    }
    if method == TlsClientAuth && metadata.certificate_name.is_none() {
        return Err(NO_CERTIFICATE_NAME);
    }
    delivery(&mut metadata)?;
    Ok(metadata)
}

/// Checks how tokens reach the client (C-042 … C-044).
fn delivery(metadata: &mut Metadata) -> Result<(), Refusal> {
    let polls = metadata.grant_types.iter().any(|own| own == CIBA_GRANT);
    let has_endpoint = metadata.backchannel_client_notification_endpoint.is_some();
    match metadata.backchannel_token_delivery_mode {
        None if polls => return Err(NO_MODE),
        None if metadata.grant_types.is_empty() => return Err(NO_GRANT),
        Some(Mode::Poll | Mode::Ping) if !polls => return Err(NO_CIBA_GRANT),
        Some(Mode::Ping | Mode::Push) if !has_endpoint => return Err(NO_ENDPOINT),
        Some(Mode::Ping | Mode::Push) => {}
        Some(Mode::Poll) | None => metadata.backchannel_client_notification_endpoint = None,
    }
    Ok(())
}

fn name(members: &mut Members) -> Result<Option<String>, Refusal> {
    let name = members.take::<String>("client_name", NAME)?;
    let fits = |name: &String| !name.trim().is_empty() && name.chars().count() <= MAX_NAME && is_plain(name);
    match name {
        Some(name) if !fits(&name) => Err(NAME),
        name => Ok(name),
    }
}

fn grant_types(members: &mut Members, offer: &Offer) -> Result<Vec<String>, Refusal> {
    let listed = members.texts("grant_types", GRANTS)?.unwrap_or_default();
    let mut grants: Vec<String> = Vec::new();
    for grant in listed {
        let grant = grant.trim_matches(' ');
        // A push client may name the grant where no other mode is on: it never uses it (C-043).
        let is_known = offer.grant_types.contains(&grant) || grant == CIBA_GRANT && offer.has_ciba();
        if !is_known {
            return Err(GRANTS);
        }
        if !grants.iter().any(|own| own == grant) {
            grants.push(grant.to_owned());
        }
    }
    Ok(grants)
}

fn auth_method(members: &mut Members, offer: &Offer) -> Result<AuthMethod, Refusal> {
    let method = members.take("token_endpoint_auth_method", AUTH_METHOD)?;
    let method = method.unwrap_or(AuthMethod::ClientSecretBasic);
    if !offer.auth_methods.contains(&method) {
        return Err(AUTH_METHOD);
    }
    Ok(method)
}

fn mode(members: &mut Members, offer: &Offer) -> Result<Option<Mode>, Refusal> {
    let mode = members.take("backchannel_token_delivery_mode", MODE)?;
    if mode.is_some_and(|mode| !offer.modes.contains(&mode)) {
        return Err(MODE);
    }
    Ok(mode)
}

fn scope(members: &mut Members, offer: &Offer) -> Result<Option<String>, Refusal> {
    let Some(scope) = members.text("scope", SCOPE)? else {
        return Ok(None);
    };
    let mut scopes: Vec<&str> = Vec::new();
    for scope in scope.split(' ').filter(|scope| !scope.is_empty()) {
        if !offer.scopes.iter().any(|known| known == scope) {
            return Err(SCOPE);
        }
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(Some(scopes.join(" ")))
}

fn details_types(members: &mut Members, offer: &Offer) -> Result<Option<Vec<String>>, Refusal> {
    let types = members.texts("authorization_details_types", DETAILS)?;
    let known = offer.details_types.as_ref();
    let is_known = |own: &String| !own.is_empty() && known.is_none_or(|known| known.contains(own));
    match types {
        Some(types) if !types.iter().all(is_known) => Err(DETAILS),
        types => Ok(types),
    }
}

fn redirect_uris(members: &mut Members) -> Result<Vec<Url>, Refusal> {
    let texts = members.texts("redirect_uris", REDIRECT_URIS)?.unwrap_or_default();
    let read = |text: String| {
        let url = Url::parse(&text).ok()?;
        url.fragment().is_none().then_some(url)
    };
    texts
        .into_iter()
        .map(|text| read(text).ok_or(REDIRECT_URIS))
        .collect()
}

/// Reads the one name of a certificate (RFC 8705 §2.1.2).
fn certificate_name(members: &mut Members) -> Result<Option<CertificateName>, Refusal> {
    use CertificateName::{SanDns, SanEmail, SanIp, SanUri, SubjectDn};
    type Kind = fn(String) -> CertificateName;
    let kinds: [(&str, Refusal, Kind); 5] = [
        ("tls_client_auth_subject_dn", SUBJECT_DN, SubjectDn),
        ("tls_client_auth_san_dns", SAN_DNS, SanDns),
        ("tls_client_auth_san_uri", SAN_URI, SanUri),
        ("tls_client_auth_san_ip", SAN_IP, SanIp),
        ("tls_client_auth_san_email", SAN_EMAIL, SanEmail),
    ];
    let mut only = None;
    for (member, wrong, kind) in kinds {
        let Some(name) = members.text(member, wrong)?.map(kind) else {
            continue;
        };
        if !name.can_be() {
            return Err(wrong);
        }
        if only.replace(name).is_some() {
            return Err(TWO_CERTIFICATE_NAMES);
        }
    }
    Ok(only)
}

/// Reads a page for people.
fn web_page(members: &mut Members, name: &str, wrong: Refusal) -> Result<Option<Url>, Refusal> {
    let read = |text: String| {
        let url = Url::parse(&text).ok()?;
        matches!(url.scheme(), "https" | "http").then_some(url)
    };
    let text = members.text(name, wrong)?;
    text.map(|text| read(text).ok_or(wrong)).transpose()
}

/// Reads a URL that the server calls.
fn endpoint(
    members: &mut Members,
    name: &str,
    wrong: Refusal,
    offer: &Offer,
) -> Result<Option<Url>, Refusal> {
    let text = members.take::<String>(name, wrong)?;
    let read = |text: String| notification_endpoint(&text, offer.loopback).map_err(|_| wrong);
    text.map(read).transpose()
}

/// Reads a switch that may be on only where the server can do what it asks for.
fn flag(members: &mut Members, name: &str, wrong: Refusal, is_offered: bool) -> Result<bool, Refusal> {
    let is_on = members.take(name, wrong)?.unwrap_or(false);
    if is_on && !is_offered {
        Err(wrong)
    } else {
        Ok(is_on)
    }
}

/// Reads a key set (RFC 7517 §5). Of what a client sends nothing is kept but the keys that are of use here.
fn keys(members: &mut Members) -> Result<Option<Value>, Refusal> {
    let set = members.take::<Value>("jwks", KEYS)?;
    let read = |set| KeySet::of(set).map(KeySet::into_json).map_err(|_| KEYS);
    set.map(read).transpose()
}

/// The members that are not read yet.
struct Members(Map<String, Value>);

impl Members {
    /// Takes a member out; `null` counts as absent. `wrong` is the answer when it has another type.
    fn take<T: DeserializeOwned>(&mut self, name: &str, wrong: Refusal) -> Result<Option<T>, Refusal> {
        debug_assert!(NAMES.contains(&name), "{name} is not listed");
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value).map(Some).map_err(|_| wrong),
        }
    }

    /// Takes a text that is not empty and has no control characters.
    fn text(&mut self, name: &str, wrong: Refusal) -> Result<Option<String>, Refusal> {
        let text = self.take::<String>(name, wrong)?;
        let fits = |text: &String| (1..=MAX_TEXT).contains(&text.chars().count()) && is_plain(text);
        match text {
            Some(text) if !fits(&text) => Err(wrong),
            text => Ok(text),
        }
    }

    /// Takes a list of texts.
    fn texts(&mut self, name: &str, wrong: Refusal) -> Result<Option<Vec<String>>, Refusal> {
        let texts = self.take::<Vec<String>>(name, wrong)?;
        let fits = |text: &String| text.chars().count() <= MAX_TEXT && is_plain(text);
        match texts {
            Some(texts) if texts.len() > MAX_LISTED || !texts.iter().all(fits) => Err(wrong),
            texts => Ok(texts),
        }
    }
}

#[cfg(test)]
mod tests;

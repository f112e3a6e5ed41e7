//! What clients read before anything else: the server's metadata (OpenID Connect Discovery 1.0 §3, RFC 8414 §2, CIBA Core
//! §4) and its public keys (RFC 7517). A member is there only for what is switched on (C-020 … C-028).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

use super::alg::Alg;
use super::claims::CLAIMS;
use super::client::AuthMethod;
use super::keys::Keys;
use super::offer::Offer;
use super::register::REGISTER;
use super::token_endpoint;
use crate::config::Mode;

/// Path of the backchannel authentication endpoint; fixed by C-001.
pub(crate) const BC_AUTHORIZE: &str = "/oauth2/bc-authorize";

/// Path of the userinfo endpoint.
pub(crate) const USERINFO: &str = "/oauth2/userinfo";

/// Path of the key set.
const JWKS: &str = "/jwks";

/// Where the metadata is: the places of OpenID Connect Discovery and of RFC 8414, which are the same for an issuer without
/// a path, and ours has none.
const WELL_KNOWN: [&str; 2] = [
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
];

/// How long a cache may keep these answers: much shorter than a new key is published before it signs (C-032).
const CACHED: &str = "public, max-age=300";

/// The claims of ID Tokens that no scope brings.
const ID_TOKEN_CLAIMS: [&str; 8] = ["iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr"];

/// The document.
#[derive(Serialize)]
struct Document<'a> {
    issuer: &'a str,
    jwks_uri: String,
    token_endpoint: String,
    userinfo_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    scopes_supported: &'a [String],
    claims_supported: Vec<&'a str>,
    /// There is no authorization endpoint.
    response_types_supported: [&'a str; 0],
    grant_types_supported: &'a [&'a str],
    subject_types_supported: [&'a str; 1],
    id_token_signing_alg_values_supported: [Alg; 4],
    token_endpoint_auth_methods_supported: &'a [AuthMethod],
    #[serde(skip_serializing_if = "Option::is_none")]
    token_endpoint_auth_signing_alg_values_supported: Option<[Alg; 4]>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    acr_values_supported: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_details_types_supported: Option<&'a [String]>,
    claims_parameter_supported: bool,
    request_parameter_supported: bool,
    /// Without the member it would be true (OpenID Connect Discovery §3).
    request_uri_parameter_supported: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls_endpoint_aliases: Option<Aliases>,
    #[serde(flatten)]
    ciba: Option<Ciba<'a>>,
}

/// The endpoints of clients with certificates (RFC 8705 §5).
#[derive(Serialize)]
struct Aliases {
    token_endpoint: String,
    userinfo_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    backchannel_authentication_endpoint: Option<String>,
}

impl Aliases {
    fn at(origin: &str, has_ciba: bool) -> Self {
        let at = |path: &str| format!("{origin}{path}");
        Self {
            token_endpoint: at(token_endpoint::PATH),
            userinfo_endpoint: at(USERINFO),
            backchannel_authentication_endpoint: has_ciba.then(|| at(BC_AUTHORIZE)),
        }
    }
}

/// The members of CIBA Core §4.
#[derive(Serialize)]
struct Ciba<'a> {
    backchannel_authentication_endpoint: String,
    backchannel_token_delivery_modes_supported: &'a [Mode],
    backchannel_authentication_request_signing_alg_values_supported: [Alg; 4],
    backchannel_user_code_parameter_supported: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(is_on: &bool) -> bool {
    !is_on
}

/// Returns the metadata document, as JSON.
fn document(issuer: &str, offer: &Offer) -> Bytes {
    let at = |path: &str| format!("{issuer}{path}");
    let signs = offer.auth_methods.contains(&AuthMethod::PrivateKeyJwt);
    let of_scopes = CLAIMS
        .iter()
        .filter(|(scope, _)| offer.scopes.iter().any(|own| own == scope));
    let claims = of_scopes.flat_map(|(_, claims)| claims.iter().copied());
    let document = Document {
        issuer,
        jwks_uri: at(JWKS),
        token_endpoint: at(token_endpoint::PATH),
        userinfo_endpoint: at(USERINFO),
        registration_endpoint: offer.registration.then(|| at(REGISTER)),
        scopes_supported: &offer.scopes,
        claims_supported: ID_TOKEN_CLAIMS.into_iter().chain(claims).collect(),
        response_types_supported: [],
        grant_types_supported: &offer.grant_types,
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: Alg::ALL,
        token_endpoint_auth_methods_supported: &offer.auth_methods,
        token_endpoint_auth_signing_alg_values_supported: signs.then_some(Alg::ALL),
        acr_values_supported: &offer.acr_values,
        authorization_details_types_supported: offer.details_types.as_deref(),
        claims_parameter_supported: false,
        request_parameter_supported: false,
        request_uri_parameter_supported: false,
        tls_client_certificate_bound_access_tokens: offer.has_certificates(),
        mtls_endpoint_aliases: offer
            .mtls_origin
            .as_ref()
            .map(|origin| Aliases::at(origin, offer.has_ciba())),
        ciba: offer.has_ciba().then(|| Ciba {
            backchannel_authentication_endpoint: at(BC_AUTHORIZE),
            backchannel_token_delivery_modes_supported: &offer.modes,
            backchannel_authentication_request_signing_alg_values_supported: Alg::ALL,
            backchannel_user_code_parameter_supported: offer.user_codes,
        }),
    };
    serde_json::to_vec(&document)
        .expect("texts always serialize")
        .into()
}

/// Returns the routes of the metadata and the keys.
pub(crate) fn routes(issuer: &str, offer: &Offer, keys: Arc<Keys>) -> Router {
    let document = document(issuer, offer);
    let mut routes = Router::new().route(JWKS, get(async move || json(keys.public())));
    for path in WELL_KNOWN {
        let document = document.clone();
        routes = routes.route(path, get(async move || json(document)));
    }
    routes
}

fn json(body: Bytes) -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, CACHED)];
    (headers, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Whether a value has a type.
    type Is = fn(&Value) -> bool;

    /// Members and their types: OpenID Connect Discovery §3, RFC 8414 §2, RFC 8705 §3.3, RFC 9396 §10, CIBA Core §4.
    const SCHEMA: [(&str, Is); 24] = [
        ("issuer", Value::is_string),
        ("jwks_uri", is_url),
        ("token_endpoint", is_url),
        ("userinfo_endpoint", is_url),
        ("registration_endpoint", is_url),
        ("scopes_supported", are_texts),
        ("claims_supported", are_texts),
        ("response_types_supported", Value::is_array),
        ("grant_types_supported", are_texts),
        ("subject_types_supported", are_texts),
        ("id_token_signing_alg_values_supported", are_texts),
        ("token_endpoint_auth_methods_supported", are_texts),
        ("token_endpoint_auth_signing_alg_values_supported", are_texts),
        ("acr_values_supported", are_texts),
        ("authorization_details_types_supported", are_texts),
        ("claims_parameter_supported", Value::is_boolean),
        ("request_parameter_supported", Value::is_boolean),
        ("request_uri_parameter_supported", Value::is_boolean),
        ("tls_client_certificate_bound_access_tokens", Value::is_boolean),
        ("backchannel_authentication_endpoint", is_url),
        ("backchannel_token_delivery_modes_supported", are_texts),
        (
            "backchannel_authentication_request_signing_alg_values_supported",
            are_texts,
        ),
        ("backchannel_user_code_parameter_supported", Value::is_boolean),
        ("mtls_endpoint_aliases", Value::is_object),
    ];

    const CIBA: [&str; 4] = [
        "backchannel_authentication_endpoint",
        "backchannel_token_delivery_modes_supported",
        "backchannel_authentication_request_signing_alg_values_supported",
        "backchannel_user_code_parameter_supported",
    ];

    fn is_url(value: &Value) -> bool {
        value
            .as_str()
            .is_some_and(|url| url.starts_with("https://ciba.example/"))
    }

    fn are_texts(value: &Value) -> bool {
        let texts = value.as_array();
        texts.is_some_and(|texts| !texts.is_empty() && texts.iter().all(Value::is_string))
    }

    fn full() -> Offer {
        Offer {
            modes: vec![Mode::Poll, Mode::Push],
            user_codes: true,
            acr_values: vec!["silver".into()],
            details_types: Some(vec!["payment".into()]),
            registration: true,
            ..Offer::plain()
        }
    }

    fn read(offer: &Offer) -> Value {
        let document: Value = serde_json::from_slice(&document("https://ciba.example", offer)).unwrap();
        for (member, value) in document.as_object().unwrap() {
            let (_, has_its_type) = SCHEMA.iter().find(|(name, _)| name == member).expect(member);
            assert!(has_its_type(value), "{member}: {value}");
        }
        document
    }

    #[test]
    fn c_028_every_member_has_its_type_and_is_there_for_what_is_on() {
        let (plain, full) = (read(&Offer::plain()), read(&full()));
        let optional = [
            "registration_endpoint",
            "acr_values_supported",
            "authorization_details_types_supported",
        ];
        for member in CIBA.into_iter().chain(optional) {
            assert!(
                plain.get(member).is_none() && full.get(member).is_some(),
                "{member}"
            );
        }
        assert_eq!(plain["response_types_supported"], serde_json::json!([]));
        for member in ["jwks_uri", "token_endpoint", "userinfo_endpoint"] {
            assert!(plain.get(member).is_some(), "{member}");
        }
        assert!(
            plain["scopes_supported"]
                .as_array()
                .unwrap()
                .contains(&"openid".into())
        );
        assert_eq!(plain["issuer"], "https://ciba.example");
    }

    #[test]
    fn c_022_c_025_the_modes_and_user_codes_are_the_ones_that_are_on() {
        let full = read(&full());
        assert_eq!(
            full["backchannel_token_delivery_modes_supported"],
            serde_json::json!(["poll", "push"])
        );
        assert_eq!(full["backchannel_user_code_parameter_supported"], true);
    }

    #[test]
    fn c_024_c_026_c_027_every_algorithm_is_asymmetric_and_one_we_sign_with() {
        let full = read(&full());
        for member in [
            "backchannel_authentication_request_signing_alg_values_supported",
            "id_token_signing_alg_values_supported",
            "token_endpoint_auth_signing_alg_values_supported",
        ] {
            assert_eq!(
                full[member],
                serde_json::json!(["RS256", "PS256", "ES256", "EdDSA"]),
                "{member}"
            );
        }
        let mut secrets_alone = Offer::plain();
        secrets_alone.auth_methods.retain(|method| method.has_secret());
        let secrets_alone = read(&secrets_alone);
        assert!(
            secrets_alone
                .get("token_endpoint_auth_signing_alg_values_supported")
                .is_none()
        );
        assert_eq!(
            secrets_alone["token_endpoint_auth_methods_supported"],
            serde_json::json!(["client_secret_basic", "client_secret_post"])
        );
    }
}

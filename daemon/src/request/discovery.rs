//! What the provider says of itself: OpenID Connect Discovery, else RFC 8414. The issuer in the document has to be the
//! one that was typed, character for character.

use http::StatusCode;
use serde::Deserialize;
use url::Url;

use super::error::RequestError;
use super::http::Http;
use crate::issuer::Issuer;

/// The provider's endpoints, each checked before credentials go there.
pub(super) struct Provider {
    pub(super) authentication: Url,
    pub(super) token: Url,
    pub(super) jwks: Option<Url>,
    /// What it takes for `private_key_jwt`; empty when it does not say.
    pub(super) signing_algorithms: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    token_endpoint: Option<String>,
    backchannel_authentication_endpoint: Option<String>,
    jwks_uri: Option<String>,
    #[serde(default)]
    token_endpoint_auth_signing_alg_values_supported: Vec<String>,
}

/// Asks the provider.
pub(super) async fn discover(http: &Http, issuer: &Issuer) -> Result<Provider, RequestError> {
    for url in [openid(issuer), oauth(issuer)] {
        let answer = http.get(url).await?;
        if answer.status.is_server_error() {
            return Err(RequestError::fault(answer.status));
        }
        if answer.status == StatusCode::OK {
            return read(http, issuer, &answer.body);
        }
    }
    Err(RequestError::NoProvider)
}

fn read(http: &Http, issuer: &Issuer, body: &[u8]) -> Result<Provider, RequestError> {
    let document: Document = serde_json::from_slice(body).map_err(|_| RequestError::NoProvider)?;
    if document.issuer != issuer.as_str() {
        return Err(RequestError::OtherIssuer);
    }
    let authentication = document.backchannel_authentication_endpoint;
    let (Some(authentication), Some(token)) = (authentication, document.token_endpoint) else {
        return Err(RequestError::NoCiba);
    };
    Ok(Provider {
        authentication: http.endpoint(&authentication)?,
        token: http.endpoint(&token)?,
        jwks: document.jwks_uri.map(|url| http.endpoint(&url)).transpose()?,
        signing_algorithms: document.token_endpoint_auth_signing_alg_values_supported,
    })
}

/// OpenID Connect Discovery §4: behind the issuer's path.
fn openid(issuer: &Issuer) -> Url {
    let path = issuer.url().path().trim_end_matches('/');
    at(issuer, &format!("{path}/.well-known/openid-configuration"))
}

/// RFC 8414 §3: before it.
fn oauth(issuer: &Issuer) -> Url {
    let path = issuer.url().path().trim_end_matches('/');
    at(issuer, &format!("/.well-known/oauth-authorization-server{path}"))
}

fn at(issuer: &Issuer, path: &str) -> Url {
    let mut url = issuer.url().clone();
    url.set_path(path);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(document: &str) -> Result<Provider, RequestError> {
        let issuer = Issuer::parse("http://127.0.0.1:1/op").unwrap();
        read(&Http::with(&issuer).ok().unwrap(), &issuer, document.as_bytes())
    }

    #[test]
    fn both_well_known_places_are_found_below_a_path() {
        for (issuer, first, second) in [
            (
                "https://op.example",
                "/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server",
            ),
            (
                "https://op.example/",
                "/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server",
            ),
            (
                "https://op.example/a/b",
                "/a/b/.well-known/openid-configuration",
                "/.well-known/oauth-authorization-server/a/b",
            ),
        ] {
            let issuer = Issuer::parse(issuer).unwrap();
            assert_eq!((openid(&issuer).path(), oauth(&issuer).path()), (first, second));
        }
    }

    #[test]
    fn a_document_is_believed_only_about_its_own_issuer_and_safe_endpoints() {
        let whole = r#"{"issuer":"http://127.0.0.1:1/op","token_endpoint":"http://127.0.0.1:1/token",
            "backchannel_authentication_endpoint":"http://127.0.0.1:1/ciba","jwks_uri":"http://127.0.0.1:1/jwks"}"#;
        let provider = described(whole).ok().unwrap();
        assert_eq!(provider.authentication.path(), "/ciba");
        assert!(provider.jwks.is_some() && provider.signing_algorithms.is_empty());
        for (part, instead, problem) in [
            ("127.0.0.1:1/op\"", "127.0.0.1:1/op/\"", RequestError::OtherIssuer),
            ("backchannel_authentication", "x", RequestError::NoCiba),
            ("\"token_endpoint", "\"x", RequestError::NoCiba),
            (
                "http://127.0.0.1:1/token",
                "http://op.example/token",
                RequestError::Endpoint,
            ),
            ("http://127.0.0.1:1/ciba", "ciba", RequestError::Endpoint),
            (
                "http://127.0.0.1:1/jwks",
                "ftp://127.0.0.1/jwks",
                RequestError::Endpoint,
            ),
            ("{", "[", RequestError::NoProvider),
        ] {
            let broken = whole.replacen(part, instead, 1);
            assert_eq!(described(&broken).err(), Some(problem), "{instead}");
        }
    }
}

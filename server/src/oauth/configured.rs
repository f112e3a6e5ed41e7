//! The clients that the configuration names, under the rules that hold for every client.

use thiserror::Error;

use super::client::{Client, RegisteredBy, SecretHash};
use super::metadata::{checked, unknown_member};
use super::offer::Offer;
use crate::config;
use crate::refusal::Refusal;

/// What is wrong with a client of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("client {id}: {problem}")]
pub(crate) struct ConfiguredError {
    id: String,
    problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
enum Problem {
    #[error("unknown key `{0}`")]
    Unknown(String),
    #[error("{}", .0.description())]
    Metadata(Refusal),
    #[error("client_secret: is needed, or another token_endpoint_auth_method")]
    NoSecret,
    #[error("client_secret: is of no use with this token_endpoint_auth_method")]
    UselessSecret,
}

/// Returns the clients that the operator names.
pub(crate) fn clients(named: &[config::Client], offer: &Offer) -> Result<Vec<Client>, ConfiguredError> {
    let read = |named: &config::Client| {
        client(named, offer).map_err(|problem| ConfiguredError {
            id: named.id.clone(),
            problem,
        })
    };
    named.iter().map(read).collect()
}

fn client(named: &config::Client, offer: &Offer) -> Result<Client, Problem> {
    // A misspelt option that is ignored is worse than none.
    if let Some(unknown) = unknown_member(&named.metadata) {
        return Err(Problem::Unknown(unknown.escape_debug().collect()));
    }
    let mut metadata = checked(named.metadata.clone(), &named.id, offer).map_err(Problem::Metadata)?;
    match (metadata.token_endpoint_auth_method.has_secret(), &named.secret) {
        (true, None) => return Err(Problem::NoSecret),
        (false, Some(_)) => return Err(Problem::UselessSecret),
        _ => {}
    }
    metadata.terms = named.terms.clone();
    Ok(Client {
        id: named.id.clone(),
        incarnation: String::new(),
        secret: named.secret.as_ref().map(|secret| SecretHash::of(secret)),
        created_at: 0,
        registered_by: RegisteredBy::Configuration,
        disabled: named.disabled,
        metadata,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use zeroize::Zeroizing;

    use super::*;
    use crate::config::Terms;

    fn named(secret: Option<&str>, metadata: &Value) -> config::Client {
        config::Client {
            id: "reports".into(),
            secret: secret.map(|secret| Zeroizing::new(secret.to_owned())),
            disabled: false,
            terms: Terms {
                refresh_tokens: true,
                ..Terms::default()
            },
            metadata: metadata.as_object().unwrap().clone(),
        }
    }

    fn read(secret: Option<&str>, metadata: &Value) -> Result<Client, String> {
        let clients = clients(&[named(secret, metadata)], &Offer::plain());
        clients
            .map(|mut clients| clients.remove(0))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn c_042_a_configured_client_keeps_to_the_rules_and_its_error_names_client_and_key() {
        let machine = json!({ "grant_types": ["client_credentials"] });
        let client = read(Some("its-secret"), &machine).unwrap();
        assert!(client.secret.unwrap().matches("its-secret"));
        assert!(client.metadata.terms.refresh_tokens && client.registered_by == RegisteredBy::Configuration);
        for (metadata, error) in [
            (
                json!({ "grant_types": ["password"] }),
                "client reports: grant_types: must",
            ),
            (
                json!({ "grant_type": ["client_credentials"] }),
                "client reports: unknown key `grant_type`",
            ),
            (json!({}), "client reports: grant_types: must have a grant"),
        ] {
            let told = read(Some("its-secret"), &metadata).err().unwrap();
            assert!(told.starts_with(error), "{told}");
        }
    }

    #[test]
    fn c_047_a_configured_client_has_the_secret_that_its_method_needs_and_no_other() {
        let method = |method: &str| {
            json!({
                "grant_types": ["client_credentials"], "token_endpoint_auth_method": method,
                "jwks_uri": "https://client.example/jwks",
            })
        };
        assert!(read(None, &method("private_key_jwt")).unwrap().secret.is_none());
        for (secret, wrong) in [(None, "client_secret_post"), (Some("x"), "private_key_jwt")] {
            let told = read(secret, &method(wrong)).err().unwrap();
            assert!(told.starts_with("client reports: client_secret: is "), "{told}");
        }
    }
}

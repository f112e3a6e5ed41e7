//! The answer to `configuration`: which rules are in force, in the order in which they are tried.

use serde::{Deserialize, Serialize};

use crate::{ProfileName, Scheme};

/// The answer to `configuration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The file's path; absent where the environment names no home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What is wrong with the file, for people. No rule is in force then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The rules; the first one that matches decides.
    pub rules: Vec<HostRule>,
}

/// A `[[host]]` section: which service gets which token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRule {
    /// The services: a host, `*.` and a host, with `:port`, `/path` or a scheme where the rule names them.
    #[serde(rename = "match")]
    pub matches: String,
    /// The tools that it is for; every tool when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<Vec<String>>,
    /// The resource of the token.
    pub resource: String,
    /// The login that the token comes from.
    pub profile: ProfileName,
    /// How the token is shown to the service.
    pub scheme: Scheme,
    /// Who it is shown as where that is Basic.
    pub username: String,
    /// Whether the person is asked before the token leaves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i_005_a_rule_has_the_names_of_its_section() {
        let configuration = Configuration {
            file: Some("/h/.config/ciba/config.toml".into()),
            problem: None,
            rules: vec![HostRule {
                matches: "*.example.com".into(),
                tool: Some(vec!["git".into()]),
                resource: "urn:d:git".into(),
                profile: ProfileName::default(),
                scheme: Scheme::Bearer,
                username: "oauth2".into(),
                confirm: true,
            }],
        };
        let text = serde_json::to_string(&configuration).unwrap();
        assert_eq!(
            text,
            r#"{"file":"/h/.config/ciba/config.toml","rules":[{"match":"*.example.com","tool":["git"],"resource":"urn:d:git","profile":"default","scheme":"bearer","username":"oauth2","confirm":true}]}"#
        );
        assert_eq!(
            serde_json::from_str::<Configuration>(&text).unwrap(),
            configuration
        );
    }
}

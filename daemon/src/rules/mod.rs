//! Which service gets which token: the `[[host]]` sections of the user's configuration, in order. A service that no rule
//! names gets none. Pure.

mod pattern;
mod service;
mod words;

use device_proto::ResourceUrn;
use ipc_proto::{HostRule, ProfileName, Scheme};
use serde::{Deserialize, Deserializer, de};

use self::pattern::Pattern;
pub(crate) use self::service::Service;
pub(crate) use self::words::Tool;
use self::words::Username;

/// The user's rules, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Rules(Vec<Rule>);

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    #[serde(rename = "match")]
    pattern: Pattern,
    /// The tools that it is for; every tool when absent.
    tool: Option<Vec<Tool>>,
    /// What the token is for.
    #[serde(deserialize_with = "urn")]
    pub(crate) resource: ResourceUrn,
    /// The login that the token comes from.
    #[serde(default)]
    pub(crate) profile: ProfileName,
    /// How the service wants to be shown it.
    #[serde(default)]
    pub(crate) scheme: Scheme,
    #[serde(default)]
    username: Username,
    /// Whether the person is asked before the token leaves.
    #[serde(default)]
    pub(crate) confirm: bool,
}

fn urn<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ResourceUrn, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

impl Rules {
    /// Returns the first rule that is for this service and this tool.
    pub(crate) fn find(&self, service: &Service, tool: &Tool) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.is_for(service, tool))
    }

    /// Returns the rules for people.
    pub(crate) fn list(&self) -> Vec<HostRule> {
        self.0.iter().map(Rule::shown).collect()
    }
}

impl Rule {
    /// Returns who the token is shown as where the scheme is Basic.
    pub(crate) fn username(&self) -> &str {
        self.username.as_str()
    }

    fn is_for(&self, service: &Service, tool: &Tool) -> bool {
        let is_tool = self.tool.as_ref().is_none_or(|tools| tools.contains(tool));
        is_tool && self.pattern.matches(service)
    }

    fn shown(&self) -> HostRule {
        HostRule {
            matches: self.pattern.to_string(),
            tool: self
                .tool
                .as_ref()
                .map(|tools| tools.iter().map(ToString::to_string).collect()),
            resource: self.resource.to_string(),
            profile: self.profile.clone(),
            scheme: self.scheme,
            username: self.username().into(),
            confirm: self.confirm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        host: Rules,
    }

    fn rules(text: &str) -> Rules {
        toml::from_str::<File>(text).unwrap().host
    }

    fn resource(rules: &Rules, url: &str, tool: &str) -> Option<String> {
        let service = Service::parse(url).unwrap();
        let rule = rules.find(&service, &Tool::try_from(tool.to_owned()).unwrap())?;
        Some(rule.resource.to_string())
    }

    #[test]
    fn the_first_rule_for_service_and_tool_decides() {
        let rules = rules(
            r#"
            [[host]]
            match = "git.example.com/secret"
            resource = "urn:d:secret"
            [[host]]
            match = "*.example.com"
            tool = ["docker", "curl"]
            resource = "urn:d:registry"
            [[host]]
            match = "git.example.com"
            resource = "urn:d:git"
            "#,
        );
        for (url, tool, expected) in [
            ("https://git.example.com/secret/x", "docker", Some("urn:d:secret")),
            ("https://git.example.com/x", "docker", Some("urn:d:registry")),
            ("https://git.example.com/x", "git", Some("urn:d:git")),
            ("https://a.example.com", "git", None),
            ("https://other.example", "curl", None),
        ] {
            assert_eq!(resource(&rules, url, tool).as_deref(), expected, "{url} {tool}");
        }
        assert_eq!(
            resource(&Rules::default(), "https://git.example.com", "git"),
            None
        );
    }

    #[test]
    fn a_rule_says_little_and_is_shown_whole() {
        let least = rules("[[host]]\nmatch = \"Git.example.com\"\nresource = \"urn:d:git\"");
        let shown = serde_json::to_string(&least.list()).unwrap();
        assert_eq!(
            shown,
            r#"[{"match":"Git.example.com","resource":"urn:d:git","profile":"default","scheme":"auto","username":"oauth2"}]"#
        );
        let most = rules(
            "[[host]]\nmatch = \"*.example.com\"\ntool = [\"git\"]\nresource = \"urn:d:git\"\nprofile = \"work\"\n\
             scheme = \"basic\"\nusername = \"ada\"\nconfirm = true",
        );
        let shown = serde_json::to_string(&most.list()).unwrap();
        assert_eq!(
            shown,
            r#"[{"match":"*.example.com","tool":["git"],"resource":"urn:d:git","profile":"work","scheme":"basic","username":"ada","confirm":true}]"#
        );
    }
}

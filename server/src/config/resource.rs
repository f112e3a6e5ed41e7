//! `[[resource]]`: which resources devices get tokens for, and what each token is (D-041). The rules are checked here;
//! `token` decides by them.

use std::fmt;

use serde::Deserialize;

use super::Error;
use super::pattern::Pattern;
use super::template::Template;

/// The seed's three kinds of resource (D-041), for a configuration that names none.
const DEFAULTS: &str = r#"
[[resource]]
match = "urn:d:*"
kind = "session"

[[resource]]
match = "urn:sap:identity:api:name:*"
kind = "exchange"
audience = "{1}"

[[resource]]
match = "urn:sap:identity:application:provider:name:*"
kind = "exchange"
resource = "{urn}"
"#;

/// One rule: the resources that match, and what they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResourceRule {
    /// Which resources.
    pub(crate) pattern: Pattern,
    /// What its token is.
    pub(crate) gives: Gives,
}

/// What a resource's token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    /// The login's own access token.
    Session,
    /// One that is exchanged for the login's own (RFC 8693).
    Exchange(ExchangeTemplates),
}

/// What an exchange asks for; at least an audience or a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExchangeTemplates {
    /// RFC 8693 §2.1 `audience`.
    pub(crate) audience: Option<Template>,
    /// RFC 8693 §2.1 `resource`.
    pub(crate) resource: Option<Template>,
    /// RFC 8693 §2.1 `scope`.
    pub(crate) scope: Option<Template>,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Section {
    r#match: String,
    kind: Kind,
    audience: Option<String>,
    resource: Option<String>,
    scope: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Session,
    Exchange,
}

/// Returns the rules that a configuration means; its own, if it has any, or the default ones.
pub(super) fn understand(written: Vec<Section>) -> Result<Vec<ResourceRule>, Error> {
    let mut rules: Vec<ResourceRule> = Vec::new();
    for section in written {
        let name = section.r#match.clone();
        let wrong = |problem: String| Error::value("resource", format!("match = {name:?}: {problem}"));
        let rule = section.understand().map_err(wrong)?;
        if rules.iter().any(|earlier| earlier.pattern.covers(&rule.pattern)) {
            return Err(wrong(
                "is never reached: a rule above it matches all of it".into(),
            ));
        }
        rules.push(rule);
    }
    if rules.is_empty() {
        Ok(defaults())
    } else {
        Ok(rules)
    }
}

/// Returns the seed's three rules.
pub(crate) fn defaults() -> Vec<ResourceRule> {
    #[derive(Deserialize)]
    struct Defaults {
        resource: Vec<Section>,
    }
    let written: Defaults = toml::from_str(DEFAULTS).expect("the default rules are TOML");
    let rules = written.resource.into_iter().map(Section::understand);
    rules
        .collect::<Result<_, _>>()
        .expect("the default rules are rules")
}

impl Section {
    fn understand(self) -> Result<ResourceRule, String> {
        let pattern = Pattern::read(&self.r#match)?;
        let template = |name: &str, text: Option<String>| {
            let read = text
                .map(|text| Template::read(&text, pattern.has_star()))
                .transpose();
            read.map_err(|problem| format!("{name} {problem}"))
        };
        let templates = ExchangeTemplates {
            audience: template("audience", self.audience)?,
            resource: template("resource", self.resource)?,
            scope: template("scope", self.scope)?,
        };
        let names_target = templates.audience.is_some() || templates.resource.is_some();
        let gives = match self.kind {
            Kind::Session if names_target || templates.scope.is_some() => {
                return Err("`audience`, `resource` and `scope` are for kind = \"exchange\"".into());
            }
            Kind::Session => Gives::Session,
            Kind::Exchange if names_target => Gives::Exchange(templates),
            Kind::Exchange => return Err("an exchange needs `audience` or `resource`".into()),
        };
        Ok(ResourceRule { pattern, gives })
    }
}

/// For people: `urn:x:* → exchange, audience = {1}`.
impl fmt::Display for ResourceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → ", self.pattern)?;
        let Gives::Exchange(templates) = &self.gives else {
            return f.write_str("session");
        };
        f.write_str("exchange")?;
        let parameters = [
            ("audience", &templates.audience),
            ("resource", &templates.resource),
            ("scope", &templates.scope),
        ];
        for (name, template) in parameters {
            if let Some(template) = template {
                write!(f, ", {name} = {template}")?;
            }
        }
        Ok(())
    }
}

/// Reads one rule, whatever others there are.
#[cfg(test)]
pub(crate) fn rule(text: &str) -> ResourceRule {
    let section: Section = toml::from_str(text).unwrap();
    section.understand().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<ResourceRule>, String> {
        #[derive(Deserialize)]
        struct File {
            resource: Vec<Section>,
        }
        let file: File = toml::from_str(text).unwrap();
        understand(file.resource).map_err(|error| error.to_string())
    }

    fn refused(rules: &[(&str, &str)]) -> String {
        let written = rules
            .iter()
            .map(|(pattern, rest)| format!("[[resource]]\nmatch = \"{pattern}\"\n{rest}\n"));
        read(&written.collect::<String>()).expect_err("refused")
    }

    #[test]
    fn d_041_the_three_of_the_seed_are_the_defaults() {
        let rules = understand(Vec::new()).unwrap();
        let patterns: Vec<_> = rules.iter().map(|rule| rule.pattern.to_string()).collect();
        assert_eq!(
            patterns,
            [
                "urn:d:*",
                "urn:sap:identity:api:name:*",
                "urn:sap:identity:application:provider:name:*"
            ]
        );
        assert_eq!(
            rules[1].to_string(),
            "urn:sap:identity:api:name:* → exchange, audience = {1}"
        );
        assert_eq!(rules[0].gives, Gives::Session);
        let own = read("[[resource]]\nmatch = \"urn:x:y\"\nkind = \"session\"\n").unwrap();
        assert_eq!(own.len(), 1, "a rule of one's own replaces them");
    }

    #[test]
    fn a_rule_that_cannot_be_is_refused_by_its_name() {
        const SESSION: &str = "kind = \"session\"";
        const EXCHANGE: &str = "kind = \"exchange\"";
        let exchange = |more: &str| refused(&[("urn:x:*", &format!("{EXCHANGE}\n{more}"))]);
        for (error, problem) in [
            (refused(&[("urn:*:x", SESSION)]), "only at the end"),
            (refused(&[("*", SESSION)]), "begin with urn:"),
            (refused(&[("urn:", SESSION)]), "begin with urn:"),
            (refused(&[("urn:a b", SESSION)]), "printable"),
            (
                refused(&[("urn:x", "kind = \"session\"\nscope = \"a\"")]),
                "are for kind",
            ),
            (exchange(""), "needs `audience` or `resource`"),
            (exchange("scope = \"a\""), "needs `audience` or `resource`"),
            (
                exchange("audience = \"{2}\""),
                "audience has {2}; there are {1} and {urn}",
            ),
            (exchange("audience = \"{1\""), "a { without its }"),
            (exchange("resource = \"\""), "resource is empty"),
            (
                refused(&[("urn:x", &format!("{EXCHANGE}\naudience = \"{{1}}\""))]),
                "`match` has no star",
            ),
        ] {
            assert!(error.starts_with("resource: match = "), "{error}");
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn a_rule_that_is_never_reached_is_refused() {
        const SESSION: &str = "kind = \"session\"";
        for (first, second) in [
            ("urn:d:*", "urn:d:x"),
            ("urn:d:*", "urn:d:x*"),
            ("urn:d:*", "urn:d:*"),
            ("urn:d:x", "urn:d:x"),
        ] {
            let error = refused(&[(first, SESSION), (second, SESSION)]);
            assert!(error.contains("never reached"), "{first} {second}: {error}");
        }
        for (first, second) in [
            ("urn:d:x", "urn:d:*"),
            ("urn:d:*", "urn:d:"),
            ("urn:d:x", "urn:d:xy"),
        ] {
            let rule = |pattern: &str| format!("[[resource]]\nmatch = \"{pattern}\"\n{SESSION}\n");
            assert!(
                read(&[rule(first), rule(second)].concat()).is_ok(),
                "{first} {second}"
            );
        }
    }
}

//! Which token a resource is given (D-041): a pure decision by the operator's rules, the first that matches.

use device_proto::ResourceUrn;

use crate::config::{ExchangeTemplates, Gives, ResourceRule, Template};

/// What a resource's token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The login's own access token.
    Session,
    /// A token that is exchanged for it.
    Exchange(ExchangeFor),
}

/// What an exchange asks for (RFC 8693 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExchangeFor {
    pub(crate) audience: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) scope: Option<String>,
}

/// Returns what a resource's token is; `None`: we give none for it.
pub(crate) fn target(rules: &[ResourceRule], urn: &ResourceUrn) -> Option<Target> {
    let urn = urn.as_str();
    let mut matching = rules.iter();
    let (rule, star) = matching.find_map(|rule| Some((rule, rule.pattern.star(urn)?)))?;
    match &rule.gives {
        Gives::Session => Some(Target::Session),
        Gives::Exchange(templates) => ExchangeFor::of(templates, urn, star).map(Target::Exchange),
    }
}

/// Whether a star can stand inside other text and change nothing around it: a name of unreserved characters (RFC 3986
/// §2.3), and not one of the two that mean another folder.
fn is_name(star: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    star.bytes().all(unreserved) && !matches!(star, "." | "..")
}

impl ExchangeFor {
    /// `None`: the resource would break out of the text that the operator put around its words.
    fn of(templates: &ExchangeTemplates, urn: &str, star: &str) -> Option<Self> {
        let all = [&templates.audience, &templates.resource, &templates.scope];
        if all.into_iter().flatten().any(Template::is_mixed) && !is_name(star) {
            return None;
        }
        let filled = |template: &Option<Template>| Some(template.as_ref()?.fill(urn, star));
        Some(Self {
            audience: filled(&templates.audience),
            resource: filled(&templates.resource),
            scope: filled(&templates.scope),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{default_rules, rule};

    fn given(rules: &[ResourceRule], urn: &str) -> Option<Target> {
        target(rules, &urn.parse().unwrap())
    }

    fn exchange(audience: Option<&str>, resource: Option<&str>) -> Option<Target> {
        Some(Target::Exchange(ExchangeFor {
            audience: audience.map(str::to_owned),
            resource: resource.map(str::to_owned),
            scope: None,
        }))
    }

    #[test]
    fn d_041_the_seeds_three_kinds() {
        const PROVIDER: &str = "urn:sap:identity:application:provider:name:my-app";
        let given = |urn: &str| given(&default_rules(), urn);
        assert_eq!(given(ResourceUrn::DEFAULT), Some(Target::Session));
        assert_eq!(given("urn:d:x"), Some(Target::Session));
        assert_eq!(
            given("urn:sap:identity:api:name:my-api"),
            exchange(Some("my-api"), None)
        );
        assert_eq!(given(PROVIDER), exchange(None, Some(PROVIDER)));
        for unknown in [
            "urn:d:",
            "urn:dx:y",
            "urn:other:x",
            "urn:sap:identity:api:name:",
            "urn:D:x",
        ] {
            assert_eq!(given(unknown), None, "{unknown}");
        }
    }

    fn session(pattern: &str) -> ResourceRule {
        rule(&format!("match = '{pattern}'\nkind = 'session'"))
    }

    fn resource(pattern: &str, template: &str) -> ResourceRule {
        rule(&format!(
            "match = '{pattern}'\nkind = 'exchange'\nresource = '{template}'"
        ))
    }

    /// An exchange whose audience is the rule's number and the star.
    fn numbered(pattern: &str, n: usize) -> ResourceRule {
        let star = if pattern.ends_with('*') { "{1}" } else { "" };
        rule(&format!(
            "match = '{pattern}'\nkind = 'exchange'\naudience = '{n}:{star}@{{urn}}'"
        ))
    }

    /// The meaning of a pattern, spelt out another way.
    fn expected(pattern: &str, urn: &str) -> Option<String> {
        match pattern.strip_suffix('*') {
            Some(before) => {
                (urn.len() > before.len() && urn.starts_with(before)).then(|| urn[before.len()..].into())
            }
            None => (pattern == urn).then(String::new),
        }
    }

    #[test]
    fn d_041_inside_other_text_a_star_is_a_name_and_nothing_else() {
        let inside = [resource("urn:x:*", "https://{1}.example.com/")];
        let whole = [resource("urn:x:*", "https://{urn}.example.com/")];
        let alone = [resource("urn:x:*", "{1}")];
        assert_eq!(
            given(&inside, "urn:x:a-B.7_~"),
            exchange(None, Some("https://a-B.7_~.example.com/"))
        );
        for hostile in [
            "evil.com/#",
            "me@evil.com",
            "a/b",
            "a:b",
            "a?b=c",
            "a&b",
            "%2f",
            "a+b",
            "..",
            ".",
        ] {
            let urn = format!("urn:x:{hostile}");
            assert_eq!(given(&inside, &urn), None, "{urn}");
            assert_eq!(given(&whole, &urn), None, "{urn}");
            assert_eq!(given(&alone, &urn), exchange(None, Some(hostile)));
        }
        // What the operator has written out is the operator's own affair.
        let written = [resource("urn:x:a/b", "https://{urn}.example.com/")];
        assert_eq!(
            given(&written, "urn:x:a/b"),
            exchange(None, Some("https://urn:x:a/b.example.com/"))
        );
    }

    #[test]
    fn d_041_a_rule_that_matches_decides_even_if_it_gives_nothing() {
        let rules = [resource("urn:x:*", "a{1}"), session("urn:*")];
        assert_eq!(given(&rules, "urn:x:/"), None);
    }

    proptest! {
        #[test]
        fn d_041_the_first_rule_that_matches_decides_and_fills_in_its_star(
            patterns in prop::collection::vec("urn:([ab:]{1,4}|[ab:]{0,4}[*])", 0..6),
            urn in "urn:[ab:]{1,5}",
        ) {
            let rules: Vec<_> = patterns.iter().enumerate().map(|(n, pattern)| numbered(pattern, n)).collect();
            let first = patterns.iter().enumerate().find_map(|(n, pattern)| Some((n, expected(pattern, &urn)?)));
            let first = first.filter(|(_, star)| !star.contains(':'));
            let wanted = first.and_then(|(n, star)| exchange(Some(&format!("{n}:{star}@{urn}")), None));
            prop_assert_eq!(given(&rules, &urn), wanted);
        }

        #[test]
        fn what_a_resource_is_called_is_never_read_as_a_template(name in "[{}1urn*]{1,12}") {
            let urn = format!("urn:sap:identity:api:name:{name}");
            prop_assert_eq!(given(&default_rules(), &urn), exchange(Some(&name), None));
        }
    }
}

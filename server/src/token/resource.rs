//! Which token a resource is given (D-041): a pure decision by the operator's rules, the first that matches.

use device_proto::ResourceUrn;

use crate::config::{Ask, Gives, Pattern, Piece, ResourceRule, Template};

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
    let (rule, star) = matching.find_map(|rule| Some((rule, star(&rule.pattern, urn)?)))?;
    match &rule.gives {
        Gives::Session => Some(Target::Session),
        Gives::Exchange(ask) => ExchangeFor::of(ask, urn, star).map(Target::Exchange),
    }
}

/// Returns what stands for the star, nothing where there is none; `None`: it does not match.
fn star<'u>(pattern: &Pattern, urn: &'u str) -> Option<&'u str> {
    let rest = urn.strip_prefix(&*pattern.beginning)?;
    (pattern.open != rest.is_empty()).then_some(rest)
}

/// Whether a star can stand inside other text and change nothing around it: a name of unreserved characters (RFC 3986
/// §2.3), and not one of the two that mean another folder.
fn is_name(star: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    star.bytes().all(unreserved) && !matches!(star, "." | "..")
}

impl ExchangeFor {
    /// `None`: the resource would break out of the text that the operator put around its words.
    fn of(ask: &Ask, urn: &str, star: &str) -> Option<Self> {
        let mut templates = [&ask.audience, &ask.resource, &ask.scope].into_iter().flatten();
        if templates.any(Template::is_mixed) && !is_name(star) {
            return None;
        }
        let filled =
            |template: &Option<Template>| template.as_ref().map(|template| fill(template, urn, star));
        Some(Self {
            audience: filled(&ask.audience),
            resource: filled(&ask.resource),
            scope: filled(&ask.scope),
        })
    }
}

fn fill(template: &Template, urn: &str, star: &str) -> String {
    let pieces = template.0.iter().map(|piece| match piece {
        Piece::Text(text) => text,
        Piece::Urn => urn,
        Piece::Star => star,
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::default_rules;

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

    fn rule(pattern: &str, gives: Gives) -> ResourceRule {
        let beginning = pattern.trim_end_matches('*').to_owned();
        let open = pattern.ends_with('*');
        ResourceRule {
            pattern: Pattern { beginning, open },
            gives,
        }
    }

    /// An exchange whose audience is the rule's number and the star.
    fn numbered(pattern: &str, n: usize) -> ResourceRule {
        let pieces = vec![
            Piece::Text(format!("{n}:")),
            Piece::Star,
            Piece::Text("@".into()),
            Piece::Urn,
        ];
        let ask = Ask {
            audience: Some(Template(pieces)),
            resource: None,
            scope: None,
        };
        rule(pattern, Gives::Exchange(ask))
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

    fn resource(template: Vec<Piece>) -> Gives {
        Gives::Exchange(Ask {
            audience: None,
            resource: Some(Template(template)),
            scope: None,
        })
    }

    #[test]
    fn d_041_inside_other_text_a_star_is_a_name_and_nothing_else() {
        let text = |text: &str| Piece::Text(text.into());
        let around = |piece| vec![text("https://"), piece, text(".example.com/")];
        let inside = [rule("urn:x:*", resource(around(Piece::Star)))];
        let whole = [rule("urn:x:*", resource(around(Piece::Urn)))];
        let alone = [rule("urn:x:*", resource(vec![Piece::Star]))];
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
        // What the operator has written out is theirs.
        let written = [rule("urn:x:a/b", resource(around(Piece::Urn)))];
        assert_eq!(
            given(&written, "urn:x:a/b"),
            exchange(None, Some("https://urn:x:a/b.example.com/"))
        );
    }

    #[test]
    fn d_041_a_rule_that_matches_decides_even_if_it_gives_nothing() {
        let rules = [
            rule("urn:x:*", resource(vec![Piece::Text("a".into()), Piece::Star])),
            rule("urn:*", Gives::Session),
        ];
        assert_eq!(given(&rules, "urn:x:/"), None);
    }

    proptest! {
        #[test]
        fn d_041_the_first_rule_that_matches_decides_and_fills_in_its_star(
            patterns in prop::collection::vec("urn:[ab:]{0,4}[*]?", 0..6),
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

//! go's GOAUTH command. Before its first fetch go asks for whatever there is: it gets the tokens of the rules that name go.
//! After a fetch that failed go names the URL and the server's answer: a 401 there says that such a token was refused.

use std::ffi::OsString;
use std::process::ExitCode;

use ipc_proto::{Configuration, ErrorCode, Failure, HostRule, Op};

use super::{Credential, Field, PATIENCE, Reply, Wanted, credential, input, tell};
use crate::ask;
use crate::error::Error;
use crate::exit::Exit;

/// The short word that rules have for go.
const TOOL: &str = "go";

/// go sends credentials by no other scheme.
const HTTPS: &str = "https://";

pub(super) fn run(arguments: &[OsString]) -> Result<ExitCode, Error> {
    let configuration: Configuration = ask::whoever_serves(Op::Configuration {}, |connection, op| {
        connection.ask(op, PATIENCE)
    })?;
    if let Some(problem) = &configuration.problem {
        return Err(broken(problem));
    }
    let prefixes = prefixes(&configuration);
    let reply = match arguments {
        [] => ahead(&prefixes),
        [url] => match url.to_str().and_then(Field::new) {
            Some(url) => after_a_failure(&url, &prefixes, is_unauthorized(&input()?), ask_for)?,
            None => return Err(Error::usage("the URL holds characters that do not print")),
        },
        _ => return Err(Error::usage("go gives its GOAUTH command a URL or nothing")),
    };
    reply.print()?;
    Ok(Exit::Ok.into())
}

/// Returns the URLs whose token go gets before it asks: those of the rules that are for go by name. The other rules' tokens
/// would leave without need. A person is asked only for what go does fetch.
fn prefixes(configuration: &Configuration) -> Vec<Field> {
    let is_for_go = |rule: &&HostRule| {
        let tools = rule.tool.as_deref().unwrap_or_default();
        !rule.confirm && !rule.matches.contains('*') && tools.iter().any(|tool| tool == TOOL)
    };
    let rules = configuration.rules.iter().filter(is_for_go);
    rules.filter_map(|rule| prefix(&rule.matches)).collect()
}

/// Returns the URL of the services that a rule names; `None` for another scheme.
fn prefix(matches: &str) -> Option<Field> {
    match matches.split_once("://") {
        Some(("https", _)) => Field::new(matches),
        Some(_) => None,
        None => Field::new(&format!("{HTTPS}{matches}")),
    }
}

/// A rule that yields no token now must not cost go the tokens of the others.
fn ahead(prefixes: &[Field]) -> Reply {
    prefixes
        .iter()
        .fold(Reply::default(), |reply, prefix| match ask_for(prefix, None) {
            Ok(credential) => block(reply, prefix, &credential),
            Err(error) => {
                tell(&error);
                reply
            }
        })
}

fn after_a_failure(
    url: &Field,
    prefixes: &[Field],
    unauthorized: bool,
    mut ask: impl FnMut(&Field, Option<u64>) -> Result<Credential, Error>,
) -> Result<Reply, Error> {
    if !url.as_str().starts_with(HTTPS) {
        return Ok(Reply::default());
    }
    let mut answer = || {
        let held = ask(url, None)?;
        // A rule for a path may be before the prefix's: its token is for the URL, and not for all of the prefix.
        let given = prefixes
            .iter()
            .filter(|prefix| covers(prefix, url))
            .find(|prefix| ask(prefix, None).is_ok_and(|given| given.serial == held.serial));
        match given {
            Some(prefix) if unauthorized => Ok((prefix, ask(url, Some(held.serial))?)),
            _ => Ok((url, held)),
        }
    };
    match answer() {
        Ok((place, credential)) => Ok(block(Reply::default(), place, &credential)),
        Err(error) if has_no_rule(&error) => Ok(Reply::default()),
        Err(error) => Err(error),
    }
}

fn ask_for(url: &Field, refused: Option<u64>) -> Result<Credential, Error> {
    credential(&Wanted {
        url: url.as_str(),
        tool: TOOL,
        refused,
    })
}

/// Says what the daemon says of other tools' requests then.
fn broken(problem: &str) -> Error {
    let message = format!("no rule is in force, the configuration is wrong: {problem}");
    Failure::new(ErrorCode::BadConfiguration, message)
        .hint("ciba config check")
        .into()
}

fn has_no_rule(error: &Error) -> bool {
    error
        .failure()
        .is_some_and(|failure| failure.code == ErrorCode::NoRule)
}

/// Whether go uses what it was given for `prefix` at `url` as well.
fn covers(prefix: &Field, url: &Field) -> bool {
    let prefix = prefix.as_str().trim_end_matches('/');
    let rest = url.as_str().strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Reads the server's answer: a status line such as `HTTP/1.1 401 Unauthorized`, then headers.
fn is_unauthorized(said: &[u8]) -> bool {
    let line = said.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ');
    words.next().is_some_and(|word| word.starts_with(b"HTTP/")) && words.next() == Some(b"401")
}

fn block(reply: Reply, prefix: &Field, credential: &Credential) -> Reply {
    reply
        .field(prefix)
        .word("\n\nAuthorization: ")
        .authorization(credential)
        .word("\n\n")
}

#[cfg(test)]
mod tests {
    use super::super::arbitrary;
    use ipc_proto::{ProfileName, Scheme};
    use proptest::prelude::*;

    use super::*;

    fn field(text: &str) -> Field {
        Field::new(text).unwrap()
    }

    fn rule(matches: &str, tool: Option<&[&str]>) -> HostRule {
        HostRule {
            matches: matches.into(),
            tool: tool.map(|tools| tools.iter().map(|&tool| tool.to_owned()).collect()),
            resource: "urn:d:go".into(),
            profile: ProfileName::default(),
            scheme: Scheme::Auto,
            username: "oauth2".into(),
            confirm: false,
        }
    }

    #[test]
    fn only_rules_for_go_by_name_are_answered_before_go_asks() {
        let confirmed = HostRule {
            confirm: true,
            ..rule("c.example.com", Some(&["go"]))
        };
        let rules = vec![
            rule("any.example.com", None),
            rule("git.example.com", Some(&["git", "cargo"])),
            rule("go.example.com:8443/mod", Some(&["git", "go"])),
            rule("https://proxy.example.com", Some(&["go"])),
            rule("http://127.0.0.1:3000", Some(&["go"])),
            rule("*.example.com", Some(&["go"])),
            confirmed,
        ];
        let found = prefixes(&Configuration {
            rules,
            ..Configuration::default()
        });
        let expected = [
            field("https://go.example.com:8443/mod"),
            field("https://proxy.example.com"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        let prefix = field("https://go.example.com/mod");
        for (url, covered) in [
            ("https://go.example.com/mod", true),
            ("https://go.example.com/mod/@v/list", true),
            ("https://go.example.com/model", false),
            ("https://go.example.com.evil.org/mod", false),
            ("https://go.example.com", false),
        ] {
            assert_eq!(covers(&prefix, &field(url)), covered, "{url}");
        }
        assert!(covers(&field("https://h/"), &field("https://h/a")));
    }

    #[test]
    fn a_path_s_token_is_not_given_for_the_whole_host() {
        // By the URL: the number of the token that its rule gives; one more after a refusal.
        let ask = |url: &Field, refused: Option<u64>| {
            let serial = if url.as_str().contains("/secret") { 40 } else { 10 };
            let mut credential = Credential::for_test("abc", Scheme::Auto);
            credential.serial = refused.map_or(serial, |refused| refused + 1);
            credential.token =
                super::super::HeaderText::new(format!("t{}", credential.serial).into()).unwrap();
            Ok(credential)
        };
        let prefixes = [field("https://h")];
        for (url, unauthorized, expected) in [
            (
                "https://h/mod",
                true,
                "https://h\n\nAuthorization: Bearer t11\n\n",
            ),
            (
                "https://h/mod",
                false,
                "https://h/mod\n\nAuthorization: Bearer t10\n\n",
            ),
            (
                "https://h/secret/mod",
                true,
                "https://h/secret/mod\n\nAuthorization: Bearer t40\n\n",
            ),
            (
                "https://other/mod",
                true,
                "https://other/mod\n\nAuthorization: Bearer t10\n\n",
            ),
        ] {
            let reply = after_a_failure(&field(url), &prefixes, unauthorized, ask);
            assert_eq!(reply.unwrap_or_default().text(), expected, "{url}");
        }
        let reply = after_a_failure(&field("http://h/mod"), &prefixes, true, ask);
        assert_eq!(reply.unwrap_or_default().text(), "");
    }

    #[test]
    fn a_token_was_refused_only_where_the_status_is_401() {
        for (said, refused) in [
            ("HTTP/1.1 401 Unauthorized\nA: b\n\n", true),
            ("HTTP/2.0 401 Unauthorized\n\n", true),
            ("HTTP/1.1 401", true),
            ("HTTP/1.1 404 Not Found\nX: 401 \n\n", false),
            ("HTTP/1.1 4011\n", false),
            ("401 HTTP/1.1\n", false),
            ("", false),
            ("\n\n", false),
            ("\0", false),
        ] {
            assert_eq!(is_unauthorized(said.as_bytes()), refused, "{said:?}");
        }
    }

    #[test]
    fn a_block_is_a_url_and_a_header_each_closed_by_an_empty_line() {
        let credential = Credential::for_test("abc", Scheme::Auto);
        let reply = block(Reply::default(), &field("https://h"), &credential);
        assert_eq!(reply.text(), "https://h\n\nAuthorization: Bearer abc\n\n");
    }

    proptest! {
        #[test]
        fn whatever_is_asked_a_block_is_two_texts_each_closed_by_an_empty_line(
            url in arbitrary::text(),
            said in arbitrary::said(&["HTTP/1.1", " ", "401", "Unauthorized", "\n", "\r"]),
            credential in arbitrary::credential(),
        ) {
            let _ = is_unauthorized(&said);
            let Some(url) = Field::new(&url) else { return Ok(()) };
            let reply = block(Reply::default(), &url, &credential).text();
            let lines: Vec<_> = reply.split('\n').collect();
            prop_assert_eq!(lines.len(), 5);
            prop_assert_eq!((lines[0], lines[1], lines[3], lines[4]), (url.as_str(), "", "", ""));
            prop_assert!(lines[2].starts_with("Authorization: "));
        }
    }
}

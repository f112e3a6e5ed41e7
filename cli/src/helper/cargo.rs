//! cargo's credential provider: a line of JSON for each request, until cargo closes standard input. A token here is the
//! whole value of an `Authorization` header.

use std::ffi::OsString;
use std::process::ExitCode;

use ipc_proto::{ErrorCode, Lines, TooLong};
use rustix::io::{Errno, read};
use rustix::stdio;
use serde::Deserialize;
use serde_json::json;

use super::{Credential, Reply, Wanted, credential, sentence};
use crate::error::Error;
use crate::exit::Exit;

/// The versions of the protocol that are spoken. cargo waits for this line before it says anything.
const HELLO: &str = "{\"v\":[1]}\n";

pub(super) fn run(arguments: &[OsString]) -> Result<ExitCode, Error> {
    if arguments.iter().any(|argument| argument != "--cargo-plugin") {
        return Err(Error::usage("cargo's credential provider takes no arguments")
            .hint("only cargo has a use for it"));
    }
    Reply::default().word(HELLO).print()?;
    let mut lines = Lines::default();
    while fill(&mut lines)? {
        while let Some(line) = lines.next_line() {
            answer(line).print()?;
        }
    }
    Ok(Exit::Ok.into())
}

/// Reads more; `false` at the end of standard input.
fn fill(lines: &mut Lines) -> Result<bool, Error> {
    let stdin = stdio::stdin();
    let space = lines.space().map_err(too_long)?;
    loop {
        match read(stdin, &mut *space) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(Error::internal(format!("standard input cannot be read: {error}"))),
            Ok(count) => {
                lines.filled(count);
                return Ok(count > 0);
            }
        }
    }
}

fn too_long(problem: TooLong) -> Error {
    Error::usage(format!("what cargo says is refused: {problem}"))
}

fn answer(line: &[u8]) -> Reply {
    let token = parse(line).and_then(|url| {
        credential(&Wanted {
            url: &url,
            tool: "cargo",
            refused: None,
        })
        .map_err(Refusal::from)
    });
    match token {
        Ok(credential) => reply(&credential),
        Err(refusal) => refusal.reply(),
    }
}

/// Why cargo gets no token.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// This is for another provider: cargo asks the next one.
    NotOurs,
    /// cargo ends, and shows the text.
    Told(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.failure() {
            Some(failure) if failure.code == ErrorCode::NoRule => Self::NotOurs,
            _ => Self::Told(sentence(&error)),
        }
    }
}

/// Returns the registry's URL. `login` and `logout` are for providers that keep a token.
fn parse(line: &[u8]) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    struct Request<'a> {
        v: u32,
        kind: &'a str,
        registry: Registry,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Registry {
        index_url: String,
    }
    let refused = |text: &str| Refusal::Told(text.into());
    let request: Request<'_> =
        serde_json::from_slice(line).map_err(|_| refused("this is no request to a credential provider"))?;
    if request.v != 1 {
        return Err(refused("this cargo speaks another version of the protocol"));
    }
    if request.kind != "get" {
        return Err(Refusal::NotOurs);
    }
    let index = request.registry.index_url;
    // "sparse+" says how an index is read, and is no part of where it is.
    Ok(index.strip_prefix("sparse+").map_or(index.clone(), str::to_owned))
}

fn reply(credential: &Credential) -> Reply {
    Reply::default()
        .word("{\"Ok\":{\"kind\":\"get\",\"token\":\"")
        .authorization(credential)
        .word("\",\"cache\":\"expires\",\"expiration\":")
        .number(credential.expires_at)
        .word(",\"operation_independent\":true}}\n")
}

impl Refusal {
    fn reply(&self) -> Reply {
        let error = match self {
            Self::NotOurs => json!({ "kind": "url-not-supported" }),
            Self::Told(text) => json!({ "kind": "other", "message": text, "caused-by": [] }),
        };
        Reply::default().json(&json!({ "Err": error })).word("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::super::arbitrary;
    use ipc_proto::{Failure, Scheme};
    use proptest::prelude::*;

    use super::*;

    /// As cargo 1.95 says it.
    const GET: &str = r#"{"v":1,"registry":{"index-url":"sparse+https://r.example.com/index/","name":"r","headers":["WWW-Authenticate: Bearer"]},"kind":"get","operation":"read"}"#;

    #[test]
    fn a_registry_is_its_url_without_the_word_for_its_kind() {
        let publish = GET.replace(
            r#""operation":"read""#,
            r#""operation":"publish","name":"a","vers":"1.0.0","cksum":"00","args":["x"]"#,
        );
        for line in [GET, &publish, &GET.replace("sparse+", "")] {
            assert_eq!(parse(line.as_bytes()), Ok("https://r.example.com/index/".into()));
        }
    }

    #[test]
    fn login_and_logout_and_what_comes_later_are_for_another_provider() {
        for kind in ["login", "logout", "from 2030"] {
            let line = GET.replace(
                r#""kind":"get""#,
                &format!(r#""kind":"{kind}","token":"hunter2""#),
            );
            assert_eq!(parse(line.as_bytes()), Err(Refusal::NotOurs));
        }
        assert_eq!(
            Refusal::NotOurs.reply().text(),
            "{\"Err\":{\"kind\":\"url-not-supported\"}}\n"
        );
    }

    #[test]
    fn what_is_no_request_is_answered_with_a_text_that_does_not_quote_it() {
        let future = GET.replace("\"v\":1", "\"v\":2");
        for line in [
            &b""[..],
            b"{}",
            b"[]",
            b"hunter2",
            b"\0",
            b"{\"v\":1,\"kind\":\"get\"}",
            b"{\"v\":1,\"kind\":\"get\",\"registry\":{\"index-url\":\"\xff\"}}",
            future.as_bytes(),
        ] {
            let refusal = parse(line).unwrap_err();
            assert!(matches!(refusal, Refusal::Told(_)), "{line:?}");
            let text = refusal.reply().text();
            assert!(
                text.starts_with("{\"Err\":{") && !text.contains("hunter2"),
                "{text}"
            );
            assert_eq!(text.matches('\n').count(), 1);
        }
    }

    #[test]
    fn a_token_is_the_whole_header_and_serves_until_its_end() {
        assert_eq!(
            reply(&Credential::for_test("abc", Scheme::Auto)).text(),
            "{\"Ok\":{\"kind\":\"get\",\"token\":\"Bearer abc\",\"cache\":\"expires\",\"expiration\":1999999989,\
             \"operation_independent\":true}}\n"
        );
        let basic = reply(&Credential::for_test("abc", Scheme::Basic)).text();
        assert!(basic.contains("\"token\":\"Basic b2F1dGgyOmFiYw==\""), "{basic}");
    }

    #[test]
    fn cargo_asks_the_next_provider_only_where_no_rule_names_the_registry() {
        let refusal = |code| Refusal::from(Error::Told(Failure::new(code, "no \"x\"\n").hint("do")));
        assert_eq!(refusal(ErrorCode::NoRule), Refusal::NotOurs);
        let told = refusal(ErrorCode::NotLoggedIn).reply().text();
        assert_eq!(told.matches('\n').count(), 1, "{told}");
        assert!(told.contains("hint: do"), "{told}");
    }

    proptest! {
        #[test]
        fn whatever_cargo_says_the_answer_is_one_object_on_one_line(
            said in arbitrary::said(&[
                "{", "}", "\"v\":1", "\"v\":2", ",", "\"kind\":\"get\"", "\"registry\":{\"index-url\":\"",
                "sparse+https://r.example.com/", "\"", "\\u000a", "[", "null", "\0",
            ]),
            message in arbitrary::text(),
            credential in arbitrary::credential(),
        ) {
            let refused = match parse(&said) {
                Ok(_) => Refusal::from(Error::internal(message)),
                Err(refusal) => refusal,
            };
            for (reply, key) in [(refused.reply(), "Err"), (reply(&credential), "Ok")] {
                let reply = reply.text();
                prop_assert_eq!(reply.matches('\n').count(), 1);
                let object: serde_json::Value = serde_json::from_str(&reply).unwrap();
                prop_assert!(object[key].is_object() && object.as_object().unwrap().len() == 1);
            }
        }
    }
}

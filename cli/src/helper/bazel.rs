//! bazel's credential helper (the EngFlow specification, which other build tools have taken up): a URL in, headers and
//! their end out.

use std::ffi::OsString;
use std::process::ExitCode;

use serde::Deserialize;

use super::{Credential, Reply, Wanted, credential, input};
use crate::clock;
use crate::error::Error;
use crate::exit::Exit;

pub(super) fn run(arguments: &[OsString]) -> Result<ExitCode, Error> {
    if arguments != ["get"] {
        return Err(Error::usage("bazel's credential helper knows one word: get"));
    }
    let uri = parse(&input()?)?;
    let credential = credential(&Wanted {
        url: &uri,
        tool: "bazel",
        refused: None,
    })?;
    reply(&credential).print()?;
    Ok(Exit::Ok.into())
}

fn parse(said: &[u8]) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Request {
        uri: String,
    }
    let request = serde_json::from_slice(said);
    request
        .map(|Request { uri }| uri)
        .map_err(|_| Error::usage("standard input is not a JSON object with a uri"))
}

fn reply(credential: &Credential) -> Reply {
    Reply::default()
        .word("{\"headers\":{\"Authorization\":[\"")
        .authorization(credential)
        .word("\"]},\"expires\":")
        .json(&clock::rfc3339(credential.expires_at))
        .word("}\n")
}

#[cfg(test)]
mod tests {
    use super::super::arbitrary;
    use ipc_proto::Scheme;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_an_object_with_a_uri_and_whatever_else() {
        let many = (0..5000).map(|n| format!("\"x{n}\":[],")).collect::<String>();
        for said in [
            r#"{"uri":"https://h/a"}"#.to_owned(),
            " {\n\"uri\" : \"https://h/a\"}\r\n".to_owned(),
            format!("{{{many}\"uri\":\"https://h/a\"}}"),
        ] {
            assert_eq!(parse(said.as_bytes()).ok().as_deref(), Some("https://h/a"));
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let deep = "[".repeat(100_000);
        for said in [
            &b""[..],
            b"{}",
            b"[]",
            b"{\"uri\":1}",
            b"{\"uri\":\"https://h\"",
            b"{\"uri\":\"\xff\"}",
            b"{\"uri\":\"a\"}{\"uri\":\"b\"}",
            b"{\"uri\":\"a\",\"uri\":\"b\"}",
            b"\0",
            deep.as_bytes(),
        ] {
            assert!(parse(said).is_err(), "{said:?}");
        }
    }

    #[test]
    fn the_headers_are_a_list_and_end_with_the_token() {
        for (scheme, value) in [
            (Scheme::Auto, "Bearer abc"),
            (Scheme::Basic, "Basic b2F1dGgyOmFiYw=="),
        ] {
            assert_eq!(
                reply(&Credential::for_test("abc", scheme)).text(),
                format!(
                    "{{\"headers\":{{\"Authorization\":[\"{value}\"]}},\"expires\":\"2033-05-18T03:33:09Z\"}}\n"
                )
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_answer_is_one_object_on_one_line(
            said in arbitrary::said(&["{", "}", "\"uri\":", "\"https://b.example.com\"", ",", "[", "null", "\0"]),
            credential in arbitrary::credential(),
        ) {
            let _ = parse(&said);
            let reply = reply(&credential).text();
            prop_assert_eq!(reply.matches('\n').count(), 1);
            let object: serde_json::Value = serde_json::from_str(&reply).unwrap();
            prop_assert_eq!(object["headers"]["Authorization"].as_array().unwrap().len(), 1);
        }
    }
}

//! docker's credential helper: a registry's name in, a user name and a token out. It keeps nothing, so `store` and `erase`
//! have nothing to do.

use std::ffi::OsString;
use std::process::ExitCode;

use ipc_proto::ErrorCode;

use super::{Credential, Field, Reply, Wanted, credential, input, sentence};
use crate::error::Error;
use crate::exit::Exit;

/// The text by which docker knows that a registry is to be asked without credentials.
const NOT_FOUND: &str = "credentials not found in native keychain\n";

/// The text by which docker knows that it named no registry.
const NO_SERVER: &str = "no credentials server URL\n";

/// With this user name docker would send the token as a refresh token.
const REFRESH_TOKEN: &str = "<token>";

pub(super) fn run(arguments: &[OsString]) -> Result<ExitCode, Error> {
    let [action] = arguments else {
        return Err(usage());
    };
    match action.to_str() {
        Some("get") => get(),
        Some("store" | "erase") => input().and_then(|_| done(Reply::default())),
        // docker asks for the token of each registry that is listed, for every image that it builds.
        Some("list") => done(Reply::default().word("{}\n")),
        Some("version") => done(Reply::default().word(concat!("ciba ", env!("CARGO_PKG_VERSION"), "\n"))),
        _ => Err(usage()),
    }
}

fn usage() -> Error {
    Error::usage("docker's credential helper takes one of get, store, erase, list, version")
}

fn done(reply: Reply) -> Result<ExitCode, Error> {
    reply.print().map(|()| Exit::Ok.into())
}

fn get() -> Result<ExitCode, Error> {
    let Some(server) = parse(&input()?) else {
        Reply::default().word(NO_SERVER).print()?;
        return Err(Error::usage("docker named no registry"));
    };
    let found = credential(&Wanted {
        url: &url(&server),
        tool: "docker",
        refused: None,
    });
    match found.and_then(|credential| reply(&server, &credential)) {
        Ok(reply) => done(reply),
        Err(error) => {
            refusal(&error).print()?;
            Err(error)
        }
    }
}

/// Reads a registry's name: `host`, `host:port`, or a URL as the first registry of all has one.
fn parse(said: &[u8]) -> Option<Field> {
    Field::new(std::str::from_utf8(said).ok()?.trim_ascii())
}

fn url(server: &Field) -> String {
    match server.as_str() {
        url if url.contains("://") => url.to_owned(),
        host => format!("https://{host}"),
    }
}

fn reply(server: &Field, credential: &Credential) -> Result<Reply, Error> {
    if credential.username.as_str() == REFRESH_TOKEN {
        return Err(
            Error::usage("docker takes the username <token> for another protocol")
                .hint("give the rule of this registry another username"),
        );
    }
    Ok(Reply::default()
        .word("{\"ServerURL\":")
        .json(&server.as_str())
        .word(",\"Username\":")
        .json(&credential.username.as_str())
        .word(",\"Secret\":\"")
        .token(&credential.token)
        .word("\"}\n"))
}

/// Returns what docker reads on standard output: programs beside its own CLI show a person nothing else.
fn refusal(error: &Error) -> Reply {
    let is_unnamed = |code| code == ErrorCode::NoRule;
    if error.failure().is_some_and(|failure| is_unnamed(failure.code)) {
        return Reply::default().word(NOT_FOUND);
    }
    match Field::new(&sentence(error)) {
        Some(sentence) => Reply::default().field(&sentence).word("\n"),
        None => Reply::default().word("ciba has no token\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::arbitrary;
    use ipc_proto::{Failure, Scheme};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_registry_is_a_name_with_or_without_a_port_or_a_url() {
        for (said, expected) in [
            ("127.0.0.1:9495", "https://127.0.0.1:9495"),
            ("registry.example.com\n", "https://registry.example.com"),
            ("registry.example.com\r\n", "https://registry.example.com"),
            ("https://index.docker.io/v1/", "https://index.docker.io/v1/"),
        ] {
            let server = parse(said.as_bytes()).unwrap();
            assert_eq!(url(&server), expected);
        }
    }

    #[test]
    fn what_names_no_registry_is_refused() {
        for said in [
            &b""[..],
            b"\n",
            b" ",
            b"a\nb",
            b"a\rb",
            b"a\0",
            b"\xff",
            b"a\x1b[2J",
        ] {
            assert!(parse(said).is_none(), "{said:?}");
        }
    }

    #[test]
    fn a_token_is_a_secret_of_the_rule_s_user() {
        let server = Field::new("registry.example.com").unwrap();
        let credential = Credential::for_test("abc", Scheme::Auto);
        assert_eq!(
            reply(&server, &credential).unwrap_or_default().text(),
            "{\"ServerURL\":\"registry.example.com\",\"Username\":\"oauth2\",\"Secret\":\"abc\"}\n"
        );
    }

    #[test]
    fn a_token_is_never_given_as_a_refresh_token() {
        let mut credential = Credential::for_test("abc", Scheme::Auto);
        credential.username = Field::new(REFRESH_TOKEN).unwrap();
        assert!(reply(&Field::new("h").unwrap(), &credential).is_err());
    }

    #[test]
    fn docker_goes_on_alone_where_no_rule_names_the_registry() {
        let told = |code| Error::Told(Failure::new(code, "no").hint("do"));
        assert_eq!(refusal(&told(ErrorCode::NoRule)).text(), NOT_FOUND);
        assert_eq!(refusal(&told(ErrorCode::NotLoggedIn)).text(), "no; hint: do\n");
    }

    proptest! {
        #[test]
        fn whatever_docker_names_the_answer_is_one_object_on_one_line(
            said in arbitrary::said(&["https://", "registry.example.com", ":5000", "/v1/", "\"", "\\", "\n", "<token>"]),
            credential in arbitrary::credential(),
        ) {
            let Some(server) = parse(&said) else { return Ok(()) };
            let Ok(reply) = reply(&server, &credential) else { return Ok(()) };
            let reply = reply.text();
            prop_assert_eq!(reply.matches('\n').count(), 1);
            let object: serde_json::Value = serde_json::from_str(&reply).unwrap();
            prop_assert_eq!(object.as_object().unwrap().len(), 3);
            prop_assert_eq!(&object["ServerURL"], server.as_str());
            prop_assert_eq!(&object["Secret"], credential.token.expose());
        }

        #[test]
        fn whatever_the_daemon_says_docker_reads_one_line(message in arbitrary::text(), hint in arbitrary::text()) {
            let failure = Failure::new(ErrorCode::Internal, message).hint(hint);
            prop_assert_eq!(refusal(&failure.into()).text().matches('\n').count(), 1);
        }
    }
}

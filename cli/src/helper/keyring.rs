//! The program `keyring` as pip and uv run it: a service's URL in, a token as its password out. Under that name it stands
//! in front of the person's own `keyring`, which gets whatever no rule is for.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use ipc_proto::ErrorCode;

use super::{Credential, Reply, Wanted, credential};
use crate::environment::variable;
use crate::error::Error;
use crate::exit::Exit;

/// The name under which it stands in front of another program.
pub(super) const NAME: &str = "keyring";

/// Set for the person's own `keyring`: should that be `ciba` after all, it goes no further.
const PASSED_ON: &str = "CIBA_KEYRING_PASSED_ON";

pub(super) fn run(arguments: &[OsString]) -> Result<ExitCode, Error> {
    let Some((form, url)) = parse(arguments) else {
        return pass_on(arguments);
    };
    let found = credential(&Wanted {
        url: &url,
        tool: "keyring",
        refused: None,
    });
    match found {
        Ok(credential) => form.reply(&credential).print().map(|()| Exit::Ok.into()),
        Err(error) if is_for_another(&error) => pass_on(arguments),
        Err(error) => Err(error),
    }
}

/// Whether the daemon has no rule for the service, or the service is no URL to it.
fn is_for_another(error: &Error) -> bool {
    let code = error.failure().map(|failure| failure.code);
    matches!(code, Some(ErrorCode::NoRule | ErrorCode::BadRequest))
}

/// How the answer is to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Form {
    /// The user name as well.
    with_name: bool,
    json: bool,
}

/// Reads `[--mode password|creds] [--output plain|json] get SERVICE [USER]`; `None` for whatever else `keyring` can do.
fn parse(arguments: &[OsString]) -> Option<(Form, String)> {
    let mut form = Form::default();
    let mut names = Vec::new();
    let mut words = arguments.iter().map(|word| word.to_str());
    while let Some(word) = words.next() {
        let word = word?;
        if !word.starts_with('-') {
            names.push(word);
            continue;
        }
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, value),
            None => (word, words.next()??),
        };
        match (option, value) {
            ("--mode", "password" | "creds") => form.with_name = value == "creds",
            ("--output", "plain" | "json") => form.json = value == "json",
            _ => return None,
        }
    }
    match names.as_slice() {
        ["get", service, _user] if is_url(service) => Some((form, (*service).into())),
        ["get", service] if form.with_name && is_url(service) => Some((form, (*service).into())),
        _ => None,
    }
}

/// pip and uv name an index by its URL. What pip asks next, by `host:port`, is not answered: an index at `http://` has the
/// same name there, and the token would go to it in the clear.
fn is_url(service: &str) -> bool {
    service.contains("://")
}

impl Form {
    fn reply(self, credential: &Credential) -> Reply {
        let (name, token) = (&credential.username, &credential.token);
        match (self.json, self.with_name) {
            (false, false) => Reply::default().token(token).word("\n"),
            (false, true) => Reply::default().field(name).word("\n").token(token).word("\n"),
            (true, false) => Reply::default()
                .word("{\"password\":\"")
                .token(token)
                .word("\"}\n"),
            (true, true) => Reply::default()
                .word("{\"username\":")
                .json(&name.as_str())
                .word(",\"password\":\"")
                .token(token)
                .word("\"}\n"),
        }
    }
}

/// Lets the person's own `keyring` answer; status 1, which means "none", where there is no other.
fn pass_on(arguments: &[OsString]) -> Result<ExitCode, Error> {
    let stands_in_front = std::env::args_os()
        .next()
        .is_some_and(|name| Path::new(&name).file_name() == Some(OsStr::new(NAME)));
    if !stands_in_front || variable(PASSED_ON).is_some() {
        return Ok(Exit::Error.into());
    }
    let ours = std::env::current_exe().and_then(|path| path.canonicalize());
    let (Ok(ours), Some(path)) = (ours, variable("PATH")) else {
        return Ok(Exit::Error.into());
    };
    let Some(next) = another(&path, &ours) else {
        return Ok(Exit::Error.into());
    };
    let error = Command::new(&next).args(arguments).env(PASSED_ON, "1").exec();
    Err(Error::internal(format!(
        "the other keyring on the PATH cannot be run: {error}"
    )))
}

/// Returns the first `keyring` on a PATH that is not this program.
fn another(path: &OsStr, ours: &Path) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|directory| directory.join(NAME))
        .find(|program| program.canonicalize().is_ok_and(|program| program != ours))
}

#[cfg(test)]
mod tests {
    use super::super::arbitrary;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    use ipc_proto::Scheme;

    use super::*;

    fn parsed(line: &str) -> Option<(Form, String)> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        parse(&words)
    }

    #[test]
    fn pip_and_uv_ask_by_url() {
        let (plain, json) = (false, true);
        for (line, with_name, json, url) in [
            ("get https://h/simple/ oauth2", false, plain, "https://h/simple/"),
            ("get http://127.0.0.1/ oauth2", false, plain, "http://127.0.0.1/"),
            ("--mode creds get https://h", true, plain, "https://h"),
            ("get --mode=creds https://h oauth2", true, plain, "https://h"),
            (
                "--mode creds --output json get https://h",
                true,
                json,
                "https://h",
            ),
            (
                "--mode password --output=json get https://h me",
                false,
                json,
                "https://h",
            ),
        ] {
            assert_eq!(
                parsed(line),
                Some((Form { with_name, json }, url.into())),
                "{line}"
            );
        }
    }

    #[test]
    fn everything_else_is_for_the_person_s_own_keyring() {
        for line in [
            "",
            "get",
            "get h",
            "get https://h a b",
            "get https://h",
            "get h oauth2",
            "get h:8443 oauth2",
            "--mode creds get h",
            "set https://h oauth2",
            "del h oauth2",
            "diagnose",
            "--list-backends",
            "--disable",
            "-b x get https://h oauth2",
            "--mode",
            "--mode other get https://h oauth2",
            "get my_passwords oauth2",
            "get a\nb oauth2",
            "get a/b oauth2",
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
        let bytes = std::os::unix::ffi::OsStringExt::from_vec(b"\xff".to_vec());
        assert_eq!(parse(&["get".into(), bytes, "me".into()]), None);
    }

    #[test]
    fn the_four_forms() {
        let credential = Credential::for_test("abc", Scheme::Auto);
        for (with_name, json, expected) in [
            (false, false, "abc\n"),
            (true, false, "oauth2\nabc\n"),
            (false, true, "{\"password\":\"abc\"}\n"),
            (true, true, "{\"username\":\"oauth2\",\"password\":\"abc\"}\n"),
        ] {
            assert_eq!(Form { with_name, json }.reply(&credential).text(), expected);
        }
    }

    #[test]
    fn the_next_keyring_on_the_path_is_not_this_program() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let place = |name: &str| {
            let directory = home.join(name);
            fs::create_dir(&directory).unwrap();
            directory
        };
        let (ours, links, theirs) = (place("ours"), place("links"), place("theirs"));
        fs::write(ours.join("ciba"), "").unwrap();
        symlink(ours.join("ciba"), links.join(NAME)).unwrap();
        fs::write(theirs.join(NAME), "").unwrap();
        let path = std::env::join_paths([&links, &place("empty"), &theirs]).unwrap();
        assert_eq!(another(&path, &ours.join("ciba")), Some(theirs.join(NAME)));
        assert_eq!(another(links.as_os_str(), &ours.join("ciba")), None);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_answer_has_as_many_lines_as_its_form(
            words in prop::collection::vec(
                prop_oneof![
                    prop::sample::select(&["get", "--mode", "creds", "--output=json", "https://h/", "oauth2"]).prop_map(String::from),
                    arbitrary::text(),
                ],
                0..6,
            ),
            credential in arbitrary::credential(),
        ) {
            let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
            let Some((form, url)) = parse(&words) else { return Ok(()) };
            prop_assert!(url.contains("://"));
            let reply = form.reply(&credential).text();
            let expected = if form.with_name && !form.json { 2 } else { 1 };
            prop_assert_eq!(reply.matches('\n').count(), expected);
            prop_assert!(reply.ends_with('\n'));
        }
    }
}

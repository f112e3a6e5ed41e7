//! What tools run to get a token: git, docker, cargo and others, each by its own protocol, a file each. Every one asks the
//! daemon with [`credential`], which decides by the user's rules; a helper knows no host and keeps nothing.
//!
//! A helper is found in [`HELPERS`] before the command line is built, so that it costs what `ciba token` costs.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ipc_proto::{Event, Failure, Message, Op, Scheme};
use serde::Deserialize;

use crate::ask;
use crate::clock;
use crate::connection::{Connection, too_late};
use crate::error::Error;
use crate::exit::Exit;
use crate::terminal::{self, Plain};

#[cfg(test)]
mod arbitrary;
mod bazel;
mod cargo;
mod confirm;
mod docker;
mod git;
mod goauth;
mod input;
mod keyring;
mod kubernetes;
mod reply;
mod text;

pub(crate) use input::input;
pub(crate) use reply::Reply;
pub(crate) use text::{Field, HeaderText};

/// How long the daemon may take, which may have to ask the server. Bazel ends a helper after 10 s.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long the daemon may take once a person was asked: they have 60 s, and another question may be before theirs.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(130);

/// Seconds before its end from which a tool is to ask anew: the service's clock may be ahead. The daemon gives out no token
/// with less than that while it can get another.
const MARGIN: u64 = 10;

/// A program in the program: what a tool runs, and by which names.
pub(crate) struct Helper {
    /// `ciba WORD …`.
    word: &'static str,
    /// A link of this name to `ciba` means the same.
    link: Option<&'static str>,
    /// What it is, for a person who asks with `--help`.
    about: &'static str,
    /// Runs it with the arguments behind its name.
    run: fn(&[OsString]) -> Result<ExitCode, Error>,
}

/// All of them.
const HELPERS: &[Helper] = &[
    Helper {
        word: "git-credential",
        link: Some("git-credential-ciba"),
        about: "git's credential helper: get, store, erase, capability (`ciba git setup` tells git)",
        run: git::run,
    },
    Helper {
        word: "docker-credential",
        link: Some("docker-credential-ciba"),
        about: "docker's credential helper: get, store, erase, list, version (`ciba docker setup` tells docker)",
        run: docker::run,
    },
    Helper {
        word: "kube-credential",
        link: Some("kube-credential-ciba"),
        about: "kubectl's credential plugin (`ciba kube setup` tells kubectl)",
        run: kubernetes::run,
    },
    Helper {
        word: "cargo-credential",
        link: Some("cargo-credential-ciba"),
        about: "cargo's credential provider",
        run: cargo::run,
    },
    Helper {
        word: "bazel-credential",
        link: Some("bazel-credential-ciba"),
        about: "bazel's credential helper: get",
        run: bazel::run,
    },
    Helper {
        word: "goauth",
        link: None,
        about: "go's GOAUTH command",
        run: goauth::run,
    },
    Helper {
        word: "keyring",
        link: Some(keyring::NAME),
        about: "the program that pip and uv ask for a password: get SERVICE USER",
        run: keyring::run,
    },
];

/// Runs the helper that the command line means, by the program's name or by its first word; `None` when it means none.
pub(crate) fn meant() -> Option<ExitCode> {
    let mut words = std::env::args_os();
    let program = words.next()?;
    if let Some(helper) = by_link(&program) {
        return Some(helper.end(&words.collect::<Vec<_>>()));
    }
    let helper = by_word(&words.next()?)?;
    Some(helper.end(&words.collect::<Vec<_>>()))
}

fn by_link(program: &OsStr) -> Option<&'static Helper> {
    let name = Path::new(program).file_name()?;
    HELPERS
        .iter()
        .find(|helper| helper.link.is_some_and(|link| name == link))
}

fn by_word(word: &OsStr) -> Option<&'static Helper> {
    HELPERS.iter().find(|helper| word == helper.word)
}

/// Returns the helpers as the last paragraph of `ciba --help`.
pub(crate) fn listing() -> String {
    let line = |helper: &Helper| format!("\n  {:<18} {}", helper.word, helper.about);
    let lines: String = HELPERS.iter().map(line).collect();
    format!("Run by tools:{lines}")
}

impl Helper {
    /// Runs it to its end, and tells the person in one line what went wrong: tools show a helper's standard error.
    fn end(&self, arguments: &[OsString]) -> ExitCode {
        if let [only] = arguments
            && (only == "--help" || only == "-h")
        {
            terminal::tell(format_args!("ciba {}: {}", self.word, self.about));
            return Exit::Ok.into();
        }
        match (self.run)(arguments) {
            Ok(code) => code,
            Err(error) => tell(&error).into(),
        }
    }
}

/// Tells the person in one line what went wrong and what to type, and returns the exit status.
pub(crate) fn tell(error: &Error) -> Exit {
    let Some(failure) = error.failure() else {
        return Exit::Ok;
    };
    terminal::tell(format_args!("ciba: {}", Plain(&sentence(error))));
    failure.code.into()
}

/// Returns in one line what went wrong and what to type, for tools that show a person such a text.
fn sentence(error: &Error) -> String {
    match error.failure() {
        Some(Failure {
            message,
            hint: Some(hint),
            ..
        }) => format!("{message}; hint: {hint}"),
        Some(failure) => failure.message.clone(),
        None => String::new(),
    }
}

/// Which token a tool needs.
pub(crate) struct Wanted<'a> {
    /// The service, `scheme://host[:port][/path]`, as the tool gave it: the daemon reads it.
    pub(crate) url: &'a str,
    /// A short word for the tool, such as `git`.
    pub(crate) tool: &'static str,
    /// The number of a token that the service refused.
    pub(crate) refused: Option<u64>,
}

/// A token for a service, in texts that a reply may hold.
pub(crate) struct Credential {
    /// The token.
    pub(crate) token: HeaderText,
    /// When a tool is to take it for expired, Unix seconds: before it ends, by [`MARGIN`] at most.
    pub(crate) expires_at: u64,
    /// How the rule wants it shown.
    pub(crate) scheme: Scheme,
    /// Who it is shown as where that is Basic.
    pub(crate) username: Field,
    /// Its number, for [`Wanted::refused`].
    pub(crate) serial: u64,
}

#[cfg(test)]
impl Credential {
    /// Returns a credential that ends on 2033-05-18 at 03:33:09 UTC.
    fn for_test(token: &str, scheme: Scheme) -> Self {
        Self {
            token: HeaderText::new(token.to_owned().into()).unwrap(),
            expires_at: 1_999_999_989,
            scheme,
            username: Field::new("oauth2").unwrap(),
            serial: 1,
        }
    }
}

impl TryFrom<ipc_proto::Credential> for Credential {
    type Error = Error;

    fn try_from(answer: ipc_proto::Credential) -> Result<Self, Error> {
        Ok(Self {
            token: HeaderText::new(answer.token.access_token)
                .ok_or_else(|| Error::internal("the token holds characters that no header may carry"))?,
            expires_at: before_the_end(answer.token.expires_at, clock::now()),
            scheme: answer.scheme,
            username: Field::new(&answer.username)
                .ok_or_else(|| Error::internal("the rule's username holds characters that do not print"))?,
            serial: answer.serial,
        })
    }
}

/// Returns when a tool is to take a token for expired. A short token keeps half of what is left of it: git takes an expired
/// answer for none, and asks for a password.
fn before_the_end(end: u64, now: u64) -> u64 {
    end - MARGIN.min(end.saturating_sub(now) / 2)
}

/// Asks the daemon for a token, and starts the daemon when there is none. Never waits for a login.
///
/// A rule may want the person asked: that is done on the terminal where there is one, and the answer is no by default.
pub(crate) fn credential(wanted: &Wanted<'_>) -> Result<Credential, Error> {
    let person = confirm::Terminal::open();
    let op = Op::Credential {
        url: wanted.url.to_owned(),
        tool: wanted.tool.to_owned(),
        refused: wanted.refused,
        interactive: person.is_some(),
    };
    let asked = ask::whoever_serves(op, |mut connection, op| {
        connection.send(op)?;
        answer(&mut connection, person.as_ref())
    });
    asked?.try_into()
}

/// Waits for the answer, and puts a question in between to the person.
fn answer(
    connection: &mut Connection,
    person: Option<&confirm::Terminal>,
) -> Result<ipc_proto::Credential, Error> {
    let (begun, mut patience) = (Instant::now(), PATIENCE);
    loop {
        match connection.next(Some(begun + patience))? {
            Some(Message::Answer(credential)) => return Ok(credential),
            Some(Message::Failure(failure)) => return Err(failure.into()),
            Some(Message::Event(Event::Confirm { number, question })) => {
                patience = CONFIRM_PATIENCE;
                let allow = person.is_some_and(|person| person.allows(&question));
                connection.send_aside(Op::Confirm { number, allow })?;
            }
            Some(Message::Event(_) | Message::UnknownEvent) => {}
            None => return Err(too_late(patience)),
        }
    }
}

/// Tells the daemon that the service refused a token, so that the next request gets a new one.
pub(crate) fn refused(url: &str, tool: &'static str, serial: Option<u64>) -> Result<(), Error> {
    /// The answer says nothing.
    #[derive(Deserialize)]
    struct Noted {}
    let op = Op::Refused {
        url: url.to_owned(),
        tool: tool.to_owned(),
        serial,
    };
    ask::whoever_serves(op, |connection, op| connection.ask(op, PATIENCE)).map(|Noted {}| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_asks_anew_before_the_service_refuses() {
        for (left, expected) in [(3600, 3590), (20, 10), (5, 3), (1, 1), (0, 0)] {
            assert_eq!(before_the_end(1000 + left, 1000), 1000 + expected, "{left}");
        }
        assert_eq!(before_the_end(7, 1000), 7);
    }

    #[test]
    fn a_helper_is_found_by_its_word_and_by_its_link() {
        for helper in HELPERS {
            assert!(by_word(OsStr::new(helper.word)).is_some_and(|found| found.word == helper.word));
            if let Some(link) = helper.link {
                let path = Path::new("/usr/local/bin").join(link);
                assert!(by_link(path.as_os_str()).is_some_and(|found| found.word == helper.word));
            }
        }
        assert!(by_link(OsStr::new("/bin/ciba")).is_none());
        assert!(by_link(OsStr::new("")).is_none());
        assert!(by_word(OsStr::new("token")).is_none());
    }
}

//! `ciba git-credential`, git's credential helper (gitcredentials(7), git-credential(1)): lines `key=value` in and out.
//!
//! git 2.46 and later are given a Bearer token and a number for it. When the server refuses the token, the same git
//! command asks again with that number, gets a new token and goes on. Older versions can send Basic only.

use std::ffi::OsString;
use std::process::ExitCode;

use ipc_proto::{ErrorCode, Failure, Scheme};

use super::{Credential, Field, Reply, Wanted, credential, input, refused};
use crate::error::Error;
use crate::exit::Exit;

/// The tool, as rules name it.
const TOOL: &str = "git";

/// Bytes of a line: git's own limit.
const MAX_LINE: usize = 65_535;

/// Lines of a request: a server's challenges are one line each.
const MAX_LINES: usize = 1024;

/// What stands before the token's number in a `state[]` of ours.
const STATE: &str = "ciba.";

/// Runs one action of git's. What a later git may ask beyond these is passed over, as git wants it.
pub(super) fn run(arguments: &[OsString]) -> Result<ExitCode, Error> {
    match arguments.first().and_then(|action| action.to_str()) {
        Some("get") => get(),
        Some("erase") => erase(),
        Some("capability") => capabilities().print().map(|()| Exit::Ok.into()),
        // `store`: the daemon has the token already.
        _ => Ok(Exit::Ok.into()),
    }
}

/// Answers with a token; with nothing for a service that no rule names, so that git asks its next helper.
fn get() -> Result<ExitCode, Error> {
    let Some(request) = parse(&input()?)? else {
        return Ok(Exit::Ok.into());
    };
    let answered = request
        .credential()
        .and_then(|credential| request.reply(&credential));
    match answered {
        Ok(reply) => reply.print().map(|()| Exit::Ok.into()),
        Err(error) if is(&error, ErrorCode::NoRule) => Ok(Exit::Ok.into()),
        // No rule can name such a service: another helper may know it.
        Err(error) if is(&error, ErrorCode::BadRequest) => Err(error),
        Err(error) => {
            // Without it git goes on to ask for a password that does not exist.
            Reply::default().word("quit=1\n").print()?;
            Err(error)
        }
    }
}

/// Has the daemon replace a token that the service refused. git is failing by now, and says so itself.
fn erase() -> Result<ExitCode, Error> {
    if let Some(request) = parse(&input()?)? {
        let _ = refused(&request.url, TOOL, request.serial);
    }
    Ok(Exit::Ok.into())
}

fn capabilities() -> Reply {
    Reply::default().word("version 0\ncapability authtype\ncapability state\n")
}

fn is(error: &Error, code: ErrorCode) -> bool {
    error.failure().is_some_and(|failure| failure.code == code)
}

/// What git asks.
#[derive(Default)]
struct Request {
    /// The service.
    url: String,
    /// The name that the person has put into the URL.
    username: Option<Field>,
    /// Whether this git can send another scheme than Basic (`capability[]=authtype`, 2.46).
    can_bearer: bool,
    /// Whether it asks again after a refusal (`capability[]=state`, 2.46).
    can_retry: bool,
    /// What the server's challenges offer (`wwwauth[]`, 2.41).
    offered: Offered,
    /// The number of the token that this command has tried already.
    serial: Option<u64>,
}

/// The schemes of a server's challenges (RFC 9110 §11.6.1).
#[derive(Default)]
struct Offered {
    bearer: bool,
    basic: bool,
}

impl Request {
    fn credential(&self) -> Result<Credential, Error> {
        credential(&Wanted {
            url: &self.url,
            tool: TOOL,
            refused: self.serial,
        })
    }

    fn reply(&self, credential: &Credential) -> Result<Reply, Error> {
        if self.takes_bearer(credential.scheme) {
            return Ok(self.bearer(credential));
        }
        if credential.scheme == Scheme::Bearer {
            return Err(too_old());
        }
        Ok(self.basic(credential))
    }

    /// Whether to answer with Bearer: as the rule says, else as the server does, else Bearer.
    fn takes_bearer(&self, scheme: Scheme) -> bool {
        let only_basic = self.offered.basic && !self.offered.bearer;
        self.can_bearer
            && match scheme {
                Scheme::Bearer => true,
                Scheme::Basic => false,
                Scheme::Auto => !only_basic,
            }
    }

    fn bearer(&self, credential: &Credential) -> Reply {
        let reply = self
            .state(Reply::default().word("capability[]=authtype\n"), credential)
            .word("authtype=Bearer\ncredential=")
            .token(&credential.token);
        expiry(reply.word("\nephemeral=1\n"), credential)
    }

    fn basic(&self, credential: &Credential) -> Reply {
        let username = self.username.as_ref().unwrap_or(&credential.username);
        let reply = self
            .state(Reply::default(), credential)
            .word("username=")
            .field(username)
            .word("\npassword=")
            .token(&credential.token);
        expiry(reply.word("\n"), credential)
    }

    /// Numbers the token. Only the first answer has git ask again: a second refusal is final, and git then says `erase`.
    fn state(&self, reply: Reply, credential: &Credential) -> Reply {
        if !self.can_retry {
            return reply;
        }
        let reply = reply
            .word("capability[]=state\nstate[]=ciba.")
            .number(credential.serial)
            .word("\n");
        match self.serial {
            None => reply.word("continue=1\n"),
            Some(_) => reply,
        }
    }
}

fn expiry(reply: Reply, credential: &Credential) -> Reply {
    reply
        .word("password_expiry_utc=")
        .number(credential.expires_at)
        .word("\n")
}

fn too_old() -> Error {
    let failure = Failure::new(
        ErrorCode::Internal,
        "the rule says scheme = \"bearer\", and git before 2.46 cannot send that",
    );
    failure
        .hint("upgrade git, or use scheme = \"auto\" in the rule")
        .into()
}

/// Reads what git says; `None` when it is about something else than a web server, such as a mail server.
fn parse(bytes: &[u8]) -> Result<Option<Request>, Error> {
    let (mut protocol, mut host, mut path) = ("", "", None);
    let mut request = Request::default();
    for (number, line) in lines(bytes)?.enumerate() {
        if number == MAX_LINES || line.len() > MAX_LINE {
            return Err(malformed());
        }
        if let Some(challenge) = line.strip_prefix(b"wwwauth[]=") {
            // As the server sent it, which need not be UTF-8 (RFC 9110 §5.5).
            request.offered.challenge(&String::from_utf8_lossy(challenge));
            continue;
        }
        let line = std::str::from_utf8(line).map_err(|_| malformed())?;
        let (key, value) = line.split_once('=').ok_or_else(malformed)?;
        match key {
            "protocol" => protocol = value,
            "host" => host = value,
            "path" => path = Some(value),
            "username" => request.username = Field::new(value),
            "capability[]" => request.capability(value),
            "state[]" => request.state_of_ours(value),
            _ => {}
        }
    }
    if !matches!(protocol, "http" | "https") {
        return Ok(None);
    }
    request.url = url(protocol, host, path)?;
    Ok(Some(request))
}

/// Returns the lines before the empty one, without bytes that git would not send.
fn lines(bytes: &[u8]) -> Result<impl Iterator<Item = &[u8]>, Error> {
    if bytes.iter().any(|byte| matches!(byte, 0 | b'\r')) {
        return Err(malformed());
    }
    let lines = bytes.split(|&byte| byte == b'\n');
    Ok(lines.take_while(|line| !line.is_empty()))
}

fn malformed() -> Error {
    Error::usage("standard input is not what git says to a credential helper")
}

impl Request {
    /// An empty value takes back what was said before (gitcredentials(7)).
    fn capability(&mut self, value: &str) {
        match value {
            "authtype" => self.can_bearer = true,
            "state" => self.can_retry = true,
            "" => (self.can_bearer, self.can_retry) = (false, false),
            _ => {}
        }
    }

    fn state_of_ours(&mut self, value: &str) {
        match value.strip_prefix(STATE) {
            Some(serial) => self.serial = serial.parse().ok(),
            None if value.is_empty() => self.serial = None,
            None => {}
        }
    }
}

impl Offered {
    /// Notes the schemes of one header, which may hold several challenges.
    fn challenge(&mut self, header: &str) {
        if header.is_empty() {
            *self = Self::default();
        }
        let mut quoted = false;
        let parts = header.split(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        for part in parts {
            match part.split_ascii_whitespace().next() {
                Some(scheme) if scheme.eq_ignore_ascii_case("bearer") => self.bearer = true,
                Some(scheme) if scheme.eq_ignore_ascii_case("basic") => self.basic = true,
                _ => {}
            }
        }
    }
}

/// Puts the URL together again. git has decoded its parts, so a part may hold what would end it.
fn url(protocol: &str, host: &str, path: Option<&str>) -> Result<String, Error> {
    let ends_host = |c: char| c.is_ascii_control() || " \"#%/<>?@\\^`{|}".contains(c);
    if host.is_empty() || host.contains(ends_host) {
        return Err(malformed());
    }
    let mut url = format!("{protocol}://{host}");
    if let Some(path) = path {
        url.push('/');
        path.bytes().for_each(|byte| push_encoded(&mut url, byte));
    }
    Ok(url)
}

/// Adds a byte of a path, percent-encoded unless it stands for itself there (RFC 3986 §3.3).
fn push_encoded(url: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
        url.push(char::from(byte));
    } else {
        url.push('%');
        url.push(char::from(HEX[usize::from(byte >> 4)]));
        url.push(char::from(HEX[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::super::arbitrary;
    use ipc_proto::Secret;
    use proptest::prelude::*;

    use super::super::HeaderText;
    use super::*;

    const NEW: &str = "capability[]=authtype\ncapability[]=state\n";
    const PLACE: &str = "protocol=https\nhost=git.example.com\n";

    fn request(text: &str) -> Request {
        parse(text.as_bytes()).ok().flatten().unwrap()
    }

    fn reply(lines: &[&str], scheme: Scheme) -> Option<String> {
        let credential = Credential {
            token: HeaderText::new(Secret::from("tok".to_owned())).unwrap(),
            expires_at: 99,
            scheme,
            username: Field::new("oauth2").unwrap(),
            serial: 7,
        };
        request(&lines.concat()).reply(&credential).ok().map(Reply::text)
    }

    #[test]
    fn a_new_git_is_given_bearer_and_may_ask_once_more() {
        let first = "capability[]=authtype\ncapability[]=state\nstate[]=ciba.7\ncontinue=1\nauthtype=Bearer\n\
                     credential=tok\nephemeral=1\npassword_expiry_utc=99\n";
        for challenge in ["", "wwwauth[]=Bearer realm=\"x\"\n", "wwwauth[]=Negotiate\n"] {
            assert_eq!(
                reply(&[NEW, PLACE, challenge], Scheme::Auto).unwrap(),
                first,
                "{challenge}"
            );
        }
        let second = first.replace("continue=1\n", "");
        assert_eq!(
            reply(&[NEW, PLACE, "state[]=ciba.6\n"], Scheme::Auto).unwrap(),
            second
        );
    }

    #[test]
    fn basic_is_for_an_old_git_a_rule_and_a_server_that_has_nothing_else() {
        let old = "username=oauth2\npassword=tok\npassword_expiry_utc=99\n";
        assert_eq!(reply(&[PLACE], Scheme::Auto).unwrap(), old);
        assert_eq!(reply(&[PLACE], Scheme::Basic).unwrap(), old);
        let new = format!("capability[]=state\nstate[]=ciba.7\ncontinue=1\n{old}");
        assert_eq!(reply(&[NEW, PLACE], Scheme::Basic).unwrap(), new);
        assert_eq!(
            reply(&[NEW, PLACE, "wwwauth[]=Basic realm=\"x\"\n"], Scheme::Auto).unwrap(),
            new
        );
    }

    #[test]
    fn the_name_in_the_url_wins_over_the_rules() {
        let lines = [PLACE, "username=alice\n"];
        assert!(
            reply(&lines, Scheme::Auto)
                .unwrap()
                .starts_with("username=alice\n")
        );
    }

    #[test]
    fn a_rule_for_bearer_is_never_basic() {
        assert_eq!(reply(&[PLACE], Scheme::Bearer), None);
        let lines = [NEW, PLACE, "wwwauth[]=Basic realm=\"x\"\n"];
        assert!(
            reply(&lines, Scheme::Bearer)
                .unwrap()
                .contains("authtype=Bearer\n")
        );
    }

    #[test]
    fn challenges_are_read_by_their_scheme() {
        for (header, bearer, basic) in [
            ("Bearer realm=\"x\"", true, false),
            ("bearer", true, false),
            ("BASIC realm=x", false, true),
            ("Basic realm=\"a\", Bearer realm=\"b\", error=\"c\"", true, true),
            ("Basic realm=\"a, Bearer b\"", false, true),
            ("Negotiate", false, false),
            ("Bearerx realm=\"x\"", false, false),
        ] {
            let mut offered = Offered::default();
            offered.challenge(header);
            assert_eq!((offered.bearer, offered.basic), (bearer, basic), "{header}");
            offered.challenge("");
            assert!(
                !offered.bearer && !offered.basic,
                "an empty value clears the list"
            );
        }
    }

    #[test]
    fn states_of_others_are_none_of_ours() {
        for (state, serial) in [
            ("ciba.7", Some(7)),
            ("ciba.18446744073709551615", Some(u64::MAX)),
            ("ciba.18446744073709551616", None),
            ("ciba.-1", None),
            ("ciba.", None),
            ("other.7", None),
            ("7", None),
        ] {
            assert_eq!(
                request(&format!("{PLACE}state[]={state}\n")).serial,
                serial,
                "{state}"
            );
        }
    }

    #[test]
    fn the_url_is_what_git_meant() {
        for (text, url) in [
            (PLACE, "https://git.example.com"),
            ("protocol=http\nhost=localhost:9490\n", "http://localhost:9490"),
            (
                "protocol=https\nhost=[::1]:8\npath=a/b.git\n",
                "https://[::1]:8/a/b.git",
            ),
            (
                "protocol=https\nhost=a\npath=b?c#d%2e\n",
                "https://a/b%3Fc%23d%252e",
            ),
            ("host=b\nprotocol=https\nhost=a\n", "https://a"),
            ("protocol=https\nhost=a\n\nhost=b\n", "https://a"),
        ] {
            assert_eq!(request(text).url, url);
        }
    }

    #[test]
    fn what_is_no_web_server_is_passed_over() {
        for text in [
            "",
            "\n",
            "protocol=smtp\nhost=a\n",
            "protocol=cert\npath=x\n",
            "host=a\n",
        ] {
            assert!(matches!(parse(text.as_bytes()), Ok(None)), "{text:?}");
        }
    }

    #[test]
    fn what_git_would_not_say_is_refused() {
        let long = format!("{PLACE}wwwauth[]={}\n", "x".repeat(MAX_LINE));
        let many = format!("{PLACE}{}", "wwwauth[]=x\n".repeat(MAX_LINES));
        for text in [
            "protocol=https\nhost=\n",
            "protocol=https\n",
            "protocol=https\nhost=a/b\n",
            "protocol=https\nhost=a@b\n",
            "protocol=https\nhost=a?b\n",
            "protocol=https\nhost=a#b\n",
            "protocol=https\nhost=a\\b\n",
            "protocol=https\nhost=a%2fb\n",
            "protocol=https\nhost=a b\n",
            "protocol=https\nhost=a\tb\n",
            "protocol=https\nhost=a\0b\n",
            "protocol=https\r\nhost=a\r\n",
            "protocol\nhost=a\n",
            long.as_str(),
            many.as_str(),
        ] {
            assert!(
                parse(text.as_bytes()).is_err(),
                "{:?}",
                &text[..text.len().min(60)]
            );
        }
        assert!(parse(b"protocol=https\nhost=\xff\n").is_err());
        let latin_1 = parse(b"protocol=https\nhost=a\nwwwauth[]=Basic realm=\"Caf\xe9\"\n");
        assert!(latin_1.ok().flatten().unwrap().offered.basic);
        let most = format!("{PLACE}{}", "unknown[]=x\n".repeat(MAX_LINES - 2));
        assert!(parse(most.as_bytes()).is_ok());
    }

    /// What git may say, and what it would not.
    const WORDS: &[&str] = &[
        "capability[]=authtype\n",
        "capability[]=state\n",
        "capability[]=\n",
        "protocol=https\n",
        "protocol=http\n",
        "host=git.example.com\n",
        "host=",
        "path=a/b",
        "username=",
        "username=ada\n",
        "password=x\n",
        "wwwauth[]=",
        "wwwauth[]=Basic realm=\"x\"\n",
        "Bearer",
        ",",
        "\"",
        "state[]=ciba.7\n",
        "state[]=",
        "\n",
        "\r\n",
        "=",
        "\0",
    ];

    /// What git may be answered, in this order.
    const KEYS: [&str; 11] = [
        "capability[]=authtype",
        "capability[]=state",
        "state[]=ciba.",
        "continue=1",
        "authtype=Bearer",
        "credential=",
        "ephemeral=1",
        "username=",
        "password=",
        "password_expiry_utc=",
        "",
    ];

    fn keys_in_order(reply: &str) -> bool {
        let mut keys = KEYS.iter();
        reply.ends_with('\n') && reply.lines().all(|line| keys.any(|key| line.starts_with(key)))
    }

    proptest! {
        #[test]
        fn whatever_git_says_adds_no_line_to_the_answer(
            said in arbitrary::said(WORDS),
            is_whole in any::<bool>(),
            credential in arbitrary::credential(),
        ) {
            let place = if is_whole { PLACE } else { "" };
            let said = [place.as_bytes(), &said].concat();
            let Ok(Some(request)) = parse(&said) else { return Ok(()) };
            prop_assert!(!request.url.contains(|c: char| c.is_control() || c == '@'));
            if let Ok(reply) = request.reply(&credential) {
                let reply = reply.text();
                prop_assert!(keys_in_order(&reply), "{}", reply);
            }
        }
    }
}

//! `ciba token`: step 11 of the token's way, bytes on standard output. The hot path of the whole project.

use std::time::Duration;

use ipc_proto::{ErrorCode, Failure, Op, ProfileName, Token};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::ask;
use crate::environment::or_variable;
use crate::error::Error;
use crate::terminal;

/// How long the daemon may take: it may have to ask the server for a new token.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes in `--json` around the token. It comes first, so whatever does not fit finds it in place.
const ROOM: usize = 64;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Resource the token is for [env: CIBA_RESOURCE]
    #[arg(long, value_name = "URN")]
    resource: Option<String>,

    /// Time the token must still be valid: 60, 60s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    min_valid: Option<u64>,

    #[command(flatten)]
    form: Form,
}

// What is printed. Not a doc comment: clap would show it as the help of the whole command.
#[derive(clap::Args, Default)]
pub(crate) struct Form {
    /// Print `Authorization: Bearer TOKEN`
    #[arg(long, conflicts_with = "json")]
    header: bool,

    /// Print a JSON object with the token and what is known of it
    #[arg(long)]
    json: bool,
}

/// Asks the daemon, and starts it when there is none: one place says what is missing, in the same words.
pub(crate) fn run(args: Args, profile: Option<ProfileName>) -> Result<(), Error> {
    let op = Op::Token {
        profile,
        resource: or_variable(args.resource, "CIBA_RESOURCE")?,
        min_valid: args.min_valid,
        force: false,
    };
    let token = ask::whoever_serves(op, |connection, op| connection.ask(op, PATIENCE))?;
    print(&token, &args.form)
}

/// Prints a token with one write, from a buffer that is wiped.
pub(crate) fn print(token: &Token, form: &Form) -> Result<(), Error> {
    let secret = token.access_token.expose();
    if !is_printable(secret) {
        return Err(unprintable());
    }
    let line = if form.json {
        json(token)
    } else {
        let before = if form.header { "Authorization: Bearer " } else { "" };
        Zeroizing::new([before, secret, "\n"].concat().into_bytes())
    };
    terminal::print(&line)
}

/// Looks at every byte, also after the first bad one: the compiler then takes many at a time.
fn is_printable(secret: &str) -> bool {
    secret
        .bytes()
        .fold(true, |good, byte| good & byte.is_ascii_graphic())
}

/// A token that a header cannot carry (RFC 6750 §2.1) could carry a second header instead.
fn unprintable() -> Error {
    Failure::new(
        ErrorCode::Internal,
        "the token holds characters that no header may carry",
    )
    .into()
}

fn json(token: &Token) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Shown<'a> {
        access_token: &'a str,
        token_type: &'a str,
        expires_at: u64,
        resource: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<&'a str>,
    }
    let shown = Shown {
        access_token: token.access_token.expose(),
        token_type: &token.token_type,
        expires_at: token.expires_at,
        resource: &token.resource,
        scope: token.scope.as_deref(),
    };
    // Room for a token all of quotation marks: a buffer that grows leaves copies behind (I-008).
    let room = 2 * shown.access_token.len() + ROOM;
    let mut line = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *line, &shown).expect("a Vec takes every write, and no map has odd keys");
    line.push(b'\n');
    line
}

/// Reads a time: a number of seconds, or with a unit `s`, `m` or `h`.
fn seconds(text: &str) -> Result<u64, &'static str> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, text.as_bytes()[number.len()]),
        None => (text, b's'),
    };
    let factor = match unit {
        b'h' => 3600,
        b'm' => 60,
        _ => 1,
    };
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let count = plain.then(|| number.parse::<u64>().ok()).flatten();
    count
        .and_then(|count| count.checked_mul(factor))
        .ok_or("a time is a number with s, m or h behind it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_perhaps_a_unit() {
        let good = [("0", 0), ("60", 60), ("60s", 60), ("5m", 300), ("2h", 7200)];
        for (text, expected) in good {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        let bad = [
            "",
            "s",
            "-1",
            "+1",
            "1d",
            "1 m",
            "5mm",
            "1.5h",
            "9999999999999999999h",
            "٣",
        ];
        for text in bad {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}

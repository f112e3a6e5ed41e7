//! `ciba token`: a token from the daemon's memory to standard output. The hot path of the whole project.

use std::time::Duration;

use ipc_proto::{Op, ProfileName};

use crate::ask;
use crate::environment::or_variable;
use crate::error::Error;
use crate::print::{self, Form};

/// How long the daemon may take: it may have to ask the server for a new token.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default, clap::Args)]
pub(crate) struct Args {
    /// Resource the token is for [env: CIBA_RESOURCE]
    #[arg(long, value_name = "URN")]
    resource: Option<String>,

    /// Time the token must still be valid: 60, 60s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    min_valid: Option<u64>,

    /// Print `Authorization: Bearer TOKEN`
    #[arg(long, conflicts_with = "json")]
    header: bool,

    /// Print `Bearer TOKEN`, the value of that header, as cargo:token-from-stdout takes it
    #[arg(long, conflicts_with_all = ["json", "header"])]
    bearer: bool,

    /// Print a JSON object with the token and what is known of it
    #[arg(long)]
    json: bool,
}

/// Asks the daemon, and starts it when there is none: so it is always the daemon that says what is missing.
pub(crate) fn run(args: Args, profile: Option<ProfileName>) -> Result<(), Error> {
    let op = Op::Token {
        profile,
        resource: or_variable(args.resource, "CIBA_RESOURCE")?,
        min_valid: args.min_valid,
        force: false,
        tool: None,
    };
    let form = match (args.header, args.bearer, args.json) {
        (true, _, _) => Form::Header,
        (_, true, _) => Form::Bearer,
        (_, _, true) => Form::Json,
        _ => Form::Bare,
    };
    let token = ask::whoever_serves(op, |connection, op| connection.ask(op, PATIENCE))?;
    print::token(&token, form)
}

/// Reads a time: a number of seconds, or with a unit `s`, `m` or `h`.
pub(super) fn seconds(text: &str) -> Result<u64, &'static str> {
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
        .ok_or("a time is a number of seconds, or a number with s, m or h behind it")
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

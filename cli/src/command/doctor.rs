//! `ciba doctor`: looks at everything a token's way needs, and says for each what to do. It starts no daemon and
//! opens no browser.

use std::fmt::Write as _;

use ipc_proto::{Check, Diagnosis, Verdict};

use crate::checkup;
use crate::error::Error;
use crate::screen::Screen;
use crate::terminal::{self, Plain};

/// Spaces in front of what belongs to the line above.
const INDENT: usize = 2;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Prints every check. Fails when one of them did.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let checks = checkup::run();
    let failures = checks
        .iter()
        .filter(|check| check.verdict == Verdict::Failure)
        .count();
    if args.json {
        terminal::print_json(&Diagnosis { checks })?;
    } else {
        let screen = Screen::of_stdout();
        let report: String = checks.iter().map(|check| lines(check, screen)).collect();
        terminal::print(report.as_bytes())?;
    }
    match failures {
        0 => Ok(()),
        1 => Err(Error::internal("1 check failed")),
        _ => Err(Error::internal(format!("{failures} checks failed"))),
    }
}

/// Returns what was found, and under it what to do.
fn lines(check: &Check, screen: Screen) -> String {
    let mut found = check.name.clone();
    if let Some(profile) = &check.profile {
        let _ = write!(found, " of {profile}");
    }
    let found = Plain(&format!("{found}: {}", check.message)).to_string();
    let used = screen.sign(check.verdict).chars().count() + 1;
    let sign = screen.coloured_sign(check.verdict);
    let mut text = format!("{sign} {}\n", screen.fold(&found, used, INDENT));
    if let Some(hint) = &check.hint {
        let hint = Plain(&format!("hint: {hint}")).to_string();
        let _ = writeln!(text, "  {}", screen.fold(&hint, INDENT, 2 * INDENT));
    }
    text
}

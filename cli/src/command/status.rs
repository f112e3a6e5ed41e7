//! `ciba status`: what the daemon holds, as a table for people or as JSON for scripts.

use std::fmt::Write as _;
use std::time::Duration;

use ipc_proto::{Failure, Link, Op, ProfileName, ProfileStatus, SessionState, Status, TokenStatus};
use serde::Serialize;

use crate::ask;
use crate::clock;
use crate::error::Error;
use crate::exit::Exit;
use crate::kept;
use crate::screen::Screen;
use crate::terminal::{self, Plain};

/// How long the daemon may take: it answers from memory.
const PATIENCE: Duration = Duration::from_secs(15);

/// What to do where no login is.
const LOG_IN: &str = "hint: ciba start --url URL\n";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Asks the daemon that runs; never starts one.
pub(crate) fn run(args: &Args, profile: Option<ProfileName>) -> Result<(), Error> {
    let op = Op::Status { profile };
    let status = ask::whoever_runs(op, |connection, op| connection.ask(op, PATIENCE))?;
    if args.json {
        return terminal::print_json(&Shown {
            running: status.is_some(),
            status: status.as_ref(),
        });
    }
    let text = status.map_or_else(
        || format!("cibad is not running\n{LOG_IN}"),
        |status| table(&status, clock::now()),
    );
    terminal::print(Screen::of_stdout().page(&text).as_bytes())
}

#[derive(Serialize)]
struct Shown<'a> {
    running: bool,
    #[serde(flatten)]
    status: Option<&'a Status>,
}

/// Returns the whole text: a line about the daemon, a line for each login, under it its tokens.
fn table(status: &Status, now: u64) -> String {
    let memory = if status.memory_locked {
        ""
    } else {
        ", secrets may be swapped to disk"
    };
    let mut text = format!(
        "cibad {} is running, pid {}{memory}\n",
        Plain(&status.version),
        status.pid
    );
    if let Some(problem) = &status.keychain {
        let _ = writeln!(text, "logins may be missing: {}", Plain(&problem.message));
        let _ = writeln!(text, "hint: {}", Plain(kept::cure(problem)));
    }
    if let Some(problem) = &status.configuration {
        let _ = writeln!(text, "the configuration is not used: {}", Plain(problem));
    }
    if status.profiles.is_empty() {
        text.push_str("nobody is logged in\n");
        // A login that is only out of reach needs no new one.
        if status.keychain.is_none() {
            text.push_str(LOG_IN);
        }
        return text;
    }
    let width = widths(&status.profiles);
    for login in &status.profiles {
        describe(&mut text, login, width, now);
    }
    text
}

/// How wide the columns for profiles and resources are.
#[derive(Clone, Copy)]
struct Widths {
    profile: usize,
    resource: usize,
}

fn widths(logins: &[ProfileStatus]) -> Widths {
    let resources = logins.iter().flat_map(|login| &login.tokens);
    Widths {
        profile: logins
            .iter()
            .map(|login| login.profile.as_str().len())
            .max()
            .unwrap_or(0),
        resource: resources
            .map(|token| token.resource.chars().count())
            .max()
            .unwrap_or(0),
    }
}

fn describe(text: &mut String, login: &ProfileStatus, width: Widths, now: u64) {
    let _ = write!(
        text,
        "\n{:<profile$}  {}, {}, {}",
        login.profile.as_str(),
        state(login.state),
        link(login.link),
        Plain(&login.url),
        profile = width.profile,
    );
    if let Some(subject) = &login.subject {
        let _ = write!(text, ", {}", Plain(subject));
    }
    text.push('\n');
    if let Some(error) = &login.error {
        let _ = writeln!(text, "  {}", Plain(&error.message));
        if let Some(cure) = cure(login, error) {
            let _ = writeln!(text, "  hint: {}", Plain(&cure));
        }
    }
    describe_keeping(text, login, now);
    for token in &login.tokens {
        describe_token(text, token, width, now);
    }
}

/// Returns what to do about a login's error: what the daemon says, or the one cure for a login that is over.
fn cure(login: &ProfileStatus, error: &Failure) -> Option<String> {
    let over = Exit::from(error.code) == Exit::NotLoggedIn;
    error.hint.clone().or_else(|| over.then(|| login.log_in_again()))
}

/// Says where the login is kept and when it ends, as far as that is known.
fn describe_keeping(text: &mut String, login: &ProfileStatus, now: u64) {
    if let Some(kept) = &login.kept {
        let _ = writeln!(text, "  {}", Plain(&kept::place(kept)));
        if let Some(problem) = &kept.problem {
            let _ = writeln!(text, "  hint: {}", Plain(kept::cure(problem)));
        }
    }
    if let Some(at) = login.expires_at {
        let _ = writeln!(text, "  the login {}", clock::ends(at.saturating_sub(now)));
    }
}

fn describe_token(text: &mut String, token: &TokenStatus, width: Widths, now: u64) {
    let resource = Plain(&token.resource).to_string();
    let ends = clock::ends(token.expires_at.saturating_sub(now));
    let _ = writeln!(text, "  {resource:<w$}  {ends}", w = width.resource);
}

fn state(state: SessionState) -> &'static str {
    match state {
        SessionState::Pending => "waiting for the login",
        SessionState::Active => "logged in",
        SessionState::Failed => "failed",
        SessionState::Ended => "ended",
    }
}

fn link(link: Link) -> &'static str {
    match link {
        Link::Connected => "connected",
        Link::Connecting => "connecting",
        Link::Offline => "offline",
    }
}

//! `ciba man`: the pages that lie in `man/`, for people who did not get them with a package.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

use clap::builder::PossibleValuesParser;

use crate::error::Error;
use crate::terminal;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Command to read about
    #[arg(default_value = "ciba", hide_default_value = true, value_parser = names())]
    command: String,
}

/// The pages by command, in the order of the help.
pub(crate) const PAGES: [(&str, &str); 29] = [
    ("ciba", include_str!("../../man/ciba.1")),
    ("start", include_str!("../../man/ciba-start.1")),
    ("token", include_str!("../../man/ciba-token.1")),
    ("add", include_str!("../../man/ciba-add.1")),
    ("status", include_str!("../../man/ciba-status.1")),
    ("watch", include_str!("../../man/ciba-watch.1")),
    ("stop", include_str!("../../man/ciba-stop.1")),
    ("request", include_str!("../../man/ciba-request.1")),
    ("client", include_str!("../../man/ciba-client.1")),
    ("approvals", include_str!("../../man/ciba-approvals.1")),
    ("approve", include_str!("../../man/ciba-approve.1")),
    ("deny", include_str!("../../man/ciba-deny.1")),
    ("allow", include_str!("../../man/ciba-allow.1")),
    ("config", include_str!("../../man/ciba-config.1")),
    ("audit", include_str!("../../man/ciba-audit.1")),
    ("exec", include_str!("../../man/ciba-exec.1")),
    ("curl", include_str!("../../man/ciba-curl.1")),
    ("curlrc", include_str!("../../man/ciba-curlrc.1")),
    ("netrc", include_str!("../../man/ciba-netrc.1")),
    ("forward", include_str!("../../man/ciba-forward.1")),
    ("git", include_str!("../../man/ciba-git.1")),
    ("docker", include_str!("../../man/ciba-docker.1")),
    ("kube", include_str!("../../man/ciba-kube.1")),
    ("doctor", include_str!("../../man/ciba-doctor.1")),
    ("logs", include_str!("../../man/ciba-logs.1")),
    ("restart", include_str!("../../man/ciba-restart.1")),
    ("service", include_str!("../../man/ciba-service.1")),
    ("completions", include_str!("../../man/ciba-completions.1")),
    ("man", include_str!("../../man/ciba-man.1")),
];

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(PAGES.map(|(name, _)| name))
}

/// Shows a page; into a pipe it goes as roff, for `man -l -`.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let page = PAGES.iter().find(|(name, _)| *name == args.command);
    let (_, page) = page.ok_or_else(|| Error::usage("no command has this name"))?;
    if io::stdout().is_terminal() && read(page).is_ok_and(|shown| shown) {
        return Ok(());
    }
    terminal::print(page.as_bytes())
}

/// Gives a page to the system's `man`. Returns whether that could show it.
fn read(page: &str) -> io::Result<bool> {
    let mut man = if cfg!(target_os = "macos") {
        Command::new("mandoc").arg("-a").stdin(Stdio::piped()).spawn()?
    } else {
        Command::new("man")
            .args(["-l", "-"])
            .stdin(Stdio::piped())
            .spawn()?
    };
    if let Some(mut stdin) = man.stdin.take() {
        stdin.write_all(page.as_bytes())?;
    }
    Ok(man.wait()?.success())
}

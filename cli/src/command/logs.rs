//! `ciba logs`: what the daemon has written down, from its files or, where it runs as a unit of systemd, from the
//! journal.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use crate::ask;
use crate::error::Error;
use crate::logfile::Log;

/// How long the daemon may take to say its pid. The log of a daemon that hangs must be shown as well.
const PATIENCE: Duration = Duration::from_secs(2);

/// The unit that systemd runs the daemon as.
const UNIT: &str = "cibad.service";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Go on with what is written from now on, until interrupted
    #[arg(short, long)]
    follow: bool,

    /// Lines to begin with
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50)]
    lines: usize,
}

/// Shows the end of the log. Starts no daemon: the log matters most when the daemon does not start.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    if daemon_pid().is_some_and(is_unit) {
        return Err(journal(args));
    }
    let directory = ipc_proto::state_directory(|name| std::env::var_os(name))
        .ok_or_else(|| Error::usage("HOME is not set: there is no place for a log"))?;
    let mut log = Log::open(directory)?;
    log.print_last(args.lines)?;
    if args.follow { log.follow() } else { Ok(()) }
}

fn daemon_pid() -> Option<u32> {
    ask::hello(PATIENCE).ok()?.map(|hello| hello.pid)
}

/// Whether systemd runs this process as the daemon's unit: what it writes goes to the journal.
fn is_unit(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| names_unit(&groups))
}

fn names_unit(groups: &str) -> bool {
    groups.lines().any(|line| line.rsplit('/').next() == Some(UNIT))
}

/// Becomes `journalctl`; returns only when that fails.
fn journal(args: &Args) -> Error {
    let mut journalctl = Command::new("journalctl");
    journalctl
        .args(["--user", "--unit", UNIT, "--lines"])
        .arg(args.lines.to_string());
    if args.follow {
        journalctl.arg("--follow");
    }
    let error = journalctl.exec();
    Error::internal(format!("journalctl, which has the log, cannot be run: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_daemons_own_unit_logs_to_the_journal() {
        assert!(names_unit(
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/cibad.service\n"
        ));
        assert!(!names_unit("0::/user.slice/user-1000.slice/session-2.scope\n"));
        assert!(!names_unit("0::/app.slice/not-cibad.service\n"));
        assert!(!names_unit(""));
    }
}

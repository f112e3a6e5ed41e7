//! Becoming a daemon: the process runs itself a second time in a session of its own, and returns when that
//! one serves. A fork would be unsound once a thread exists; this works always.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

use crate::handover::Program;
use crate::service;

/// How long the started process may take until it serves.
const DEADLINE: Duration = Duration::from_secs(10);

/// Bytes of a report that are read.
const MAX_REPORT: u64 = 4096;

/// The first descriptor that is not standard input, output or error.
const FIRST_INHERITED: i32 = 3;

/// Starts the daemon and waits for its word.
///
/// The daemon inherits the environment, but for what a service manager says to the caller. It inherits no descriptors:
/// one that keeps its caller's pipe or lock open makes the caller wait for ever.
pub(crate) fn detach() -> anyhow::Result<()> {
    close_fds::set_fds_cloexec(FIRST_INHERITED, &[]);
    let program = Program::running().context("cannot find the cibad program")?;
    let mut command = Command::new(program.path());
    for variable in service::VARIABLES {
        command.env_remove(variable);
    }
    let mut child = command
        .arg("--detached")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start cibad")?;
    let pipe = child.stdout.take().context("cibad has no report")?;
    let Some(report) = read_report(pipe)? else {
        stop(&mut child);
        bail!(
            "cibad does not serve after {} s; its log may say why",
            DEADLINE.as_secs()
        );
    };
    match Word::parse(&report) {
        Some(Word::Serving | Word::Already) => Ok(()),
        Some(Word::Failed(reason)) => bail!(reason),
        None => bail!("cibad ended before it served"),
    }
}

/// Returns what the child wrote until it closed its end, or `None` when the deadline passed.
fn read_report(pipe: ChildStdout) -> anyhow::Result<Option<String>> {
    let deadline = Timespec::try_from(DEADLINE)?;
    let readable = retry_on_intr(|| poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&deadline)))?;
    if readable == 0 {
        return Ok(None);
    }
    // The line is shorter than PIPE_BUF, so it comes whole, and the child closes the pipe right behind it.
    let mut report = String::new();
    pipe.take(MAX_REPORT).read_to_string(&mut report)?;
    Ok(Some(report))
}

/// Ends a child that gave no word.
fn stop(child: &mut Child) {
    // It may have ended meanwhile.
    let _ = child.kill();
    let _ = child.wait();
}

/// What the started process says, once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It serves.
    Serving,
    /// Another one does.
    Already,
    /// It cannot.
    Failed(String),
}

impl Word {
    fn parse(line: &str) -> Option<Self> {
        match line.trim_end() {
            "serving" => Some(Self::Serving),
            "already" => Some(Self::Already),
            other => other
                .strip_prefix("failed: ")
                .map(|reason| Self::Failed(reason.into())),
        }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serving => f.write_str("serving\n"),
            Self::Already => f.write_str("already\n"),
            Self::Failed(reason) => writeln!(f, "failed: {}", reason.replace('\n', " ")),
        }
    }
}

/// Leaves the caller's session and directory, so that neither its terminal nor its file system waits for us.
pub(crate) fn leave_caller() -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::chdir("/")?;
    Ok(())
}

/// Says the word to the parent and closes the pipe.
pub(crate) fn report(word: &Word) -> io::Result<()> {
    // A parent that has given up is no reason to end: others will connect.
    let _ = io::stdout().write_all(word.to_string().as_bytes());
    let _ = io::stdout().flush();
    let null = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(null)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_understands_the_child() {
        for word in [Word::Serving, Word::Already, Word::Failed("no: way".into())] {
            assert_eq!(Word::parse(&word.to_string()), Some(word));
        }
        assert_eq!(Word::parse(""), None, "it died");
    }

    #[test]
    fn a_reason_stays_on_its_line() {
        assert_eq!(Word::Failed("a\nb".into()).to_string(), "failed: a b\n");
    }
}

//! The question before a token leaves, for a rule with `confirm = true`. It goes to the terminal itself: a tool has taken
//! the helper's standard input and output.

use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{QueueSelector, tcflush, tcgetpgrp};

use crate::terminal::Plain;

/// How long a person may think: the daemon takes silence for a no after as long.
const THINKING: Duration = Duration::from_secs(60);

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64;

/// The terminal of the tool that runs the helper.
pub(super) struct Terminal(File);

impl Terminal {
    /// Opens it; `None` where there is none, where git was told not to prompt, and for a job in the background: the terminal
    /// would stop it until the person looks (SIGTTOU).
    pub(super) fn open() -> Option<Self> {
        let quiet =
            std::env::var_os("GIT_TERMINAL_PROMPT").is_some_and(|value| value == "0" || value == "false");
        if quiet {
            return None;
        }
        let opened = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let is_in_front = tcgetpgrp(&opened).is_ok_and(|group| group == getpgrp());
        is_in_front.then_some(Self(opened))
    }

    /// Asks; whatever is not a clear yes is a no.
    pub(super) fn allows(&self, question: &str) -> bool {
        // What was typed before the question answers something else.
        let _ = tcflush(&self.0, QueueSelector::IFlush);
        let asked = (&self.0).write_all(format!("ciba: {} [y/N] ", Plain(question)).as_bytes());
        asked.is_ok() && self.line().is_some_and(|line| is_yes(&line))
    }

    /// Reads a line; `None` when none comes in time.
    fn line(&self) -> Option<Vec<u8>> {
        let thinking = Timespec::try_from(THINKING).ok()?;
        if !matches!(
            poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&thinking)),
            Ok(1..)
        ) {
            let _ = (&self.0).write_all(b"\n");
            return None;
        }
        // A terminal gives a line at a time.
        let mut line = vec![0; MAX_ANSWER];
        let count = (&self.0).read(&mut line).ok()?;
        line.truncate(count);
        Some(line)
    }
}

fn is_yes(line: &[u8]) -> bool {
    let answer = line.trim_ascii().to_ascii_lowercase();
    answer == b"y" || answer == b"yes"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        for yes in ["y\n", "Y\n", "yes\n", " YES \r\n"] {
            assert!(is_yes(yes.as_bytes()), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "no\n", "yep\n", "yy\n", "y n\n", "\0y\n"] {
            assert!(!is_yes(no.as_bytes()), "{no:?}");
        }
    }
}

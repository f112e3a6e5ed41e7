//! A question to the person at the terminal itself, whatever became of standard input and output.

use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{QueueSelector, tcflush, tcgetpgrp};

use crate::screen;

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64;

/// The terminal that this program was started from.
pub(crate) struct Terminal(File);

impl Terminal {
    /// Opens it; `None` where there is none, and for a job in the background: the terminal would stop it until the person
    /// looks (SIGTTOU).
    pub(crate) fn open() -> Option<Self> {
        let opened = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let is_in_front = tcgetpgrp(&opened).is_ok_and(|group| group == getpgrp());
        is_in_front.then_some(Self(opened))
    }

    /// Returns its width.
    pub(crate) fn columns(&self) -> usize {
        screen::columns_of(&self.0)
    }

    /// Shows lines, before a question. They hold plain characters alone.
    pub(crate) fn show(&self, text: impl Display) {
        let _ = (&self.0).write_all(format!("{text}\n").as_bytes());
    }

    /// Asks, and waits for so long; whatever is not a clear yes is a no. The question holds plain characters alone.
    pub(crate) fn allows(&self, question: impl Display, patience: Duration) -> bool {
        // What was typed before the question answers something else.
        let _ = tcflush(&self.0, QueueSelector::IFlush);
        let asked = (&self.0).write_all(format!("{question} [y/N] ").as_bytes());
        asked.is_ok() && self.line(patience).is_some_and(|line| is_yes(&line))
    }

    /// Reads a line; `None` when none comes in time.
    fn line(&self, patience: Duration) -> Option<Vec<u8>> {
        let patience = Timespec::try_from(patience).ok()?;
        if !matches!(
            poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&patience)),
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

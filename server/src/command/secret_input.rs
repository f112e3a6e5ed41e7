//! Reads a secret from standard input: typed without an echo, or the first line of a pipe.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;
use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Returns one line, without its end.
pub(super) fn read_secret(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let mut input = std::io::stdin().lock();
    let quiet = input.is_terminal().then(|| Quiet::begin(prompt)).transpose();
    let quiet = quiet.context("reading from the terminal")?;
    let mut line = Zeroizing::new(String::new());
    input.read_line(&mut line).context("reading standard input")?;
    if quiet.is_some() {
        eprintln!();
    }
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin(prompt: &str) -> std::io::Result<Self> {
        eprint!("{prompt}: ");
        std::io::stderr().flush()?;
        let before = tcgetattr(stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &self.0);
    }
}

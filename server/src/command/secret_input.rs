//! Reads a secret from standard input: typed without an echo, or the first line of a pipe.

use std::io::{IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, bail};
use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Bytes of a secret.
const MAX_SECRET: usize = 1024;

/// Returns one line, without its end.
pub(super) fn read_secret(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let input = std::io::stdin().lock();
    let quiet = input.is_terminal().then(|| Quiet::begin(prompt)).transpose();
    let quiet = quiet.context("reading from the terminal")?;
    // Room from the start: a buffer that grows leaves copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_SECRET));
    for byte in input.bytes() {
        match byte.context("reading standard input")? {
            b'\n' => break,
            byte if quiet.as_ref().is_some_and(|quiet| quiet.interrupt == byte) => bail!("interrupted"),
            _ if line.len() == MAX_SECRET => bail!("a secret has at most {MAX_SECRET} bytes"),
            byte => line.push(byte),
        }
    }
    let line = std::str::from_utf8(&line).context("reading standard input")?;
    Ok(Zeroizing::new(line.trim_end_matches('\r').to_owned()))
}

/// A terminal that does not show what is typed, until this is dropped. Ctrl-C ends the line like Enter: a signal would end
/// the program, and leave the terminal as it is now.
struct Quiet {
    before: Termios,
    interrupt: u8,
}

impl Quiet {
    fn begin(prompt: &str) -> std::io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let interrupt = before.special_codes[SpecialCodeIndex::VINTR];
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ISIG;
        quiet.special_codes[SpecialCodeIndex::VEOL] = interrupt;
        tcsetattr(stdin(), OptionalActions::Flush, &quiet)?;
        let quiet = Self { before, interrupt };
        eprint!("{prompt}: ");
        std::io::stderr().flush()?;
        Ok(quiet)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &self.before);
        // The person's own line end was not shown.
        eprintln!();
    }
}

//! Secrets that a person or a program hands over: from a file, from standard input, or typed where no one can read along.
//! Never from the command line, which every user of the machine can read.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use ipc_proto::SecretText;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::terminal;

/// Bytes of a secret, a key, or a token.
const MAX_SECRET: usize = 32 * 1024;

/// What a terminal in raw mode gives for Ctrl-C, Ctrl-D, backspace and delete.
const INTERRUPT: u8 = 3;
const END: u8 = 4;
const BACKSPACE: [u8; 2] = [8, 127];

/// Reads a secret from a file; `-` is standard input. One line end behind it is not part of it.
pub(crate) fn from_file(path: &Path) -> Result<SecretText, Error> {
    if path == Path::new("-") {
        return from(io::stdin().lock(), "standard input");
    }
    let shown = path.to_string_lossy();
    let file = File::open(path).map_err(|error| Error::usage(format!("{shown} cannot be read: {error}")))?;
    from(file, &shown)
}

/// Reads a secret from standard input, or asks for it where that is a terminal.
pub(crate) fn typed(question: &str) -> Result<SecretText, Error> {
    if io::stdin().is_terminal() {
        prompt(question)
    } else {
        from(io::stdin().lock(), "standard input")
    }
}

fn from(mut source: impl Read, name: &str) -> Result<SecretText, Error> {
    // Room from the start: a buffer that grows leaves copies behind (I-008).
    let mut bytes = Zeroizing::new(vec![0; MAX_SECRET + 1]);
    let mut length = 0;
    while length < bytes.len() {
        match source.read(&mut bytes[length..]) {
            Ok(0) => return text(&bytes[..length], name),
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::usage(format!("{name} cannot be read: {error}"))),
        }
    }
    Err(Error::usage(format!("{name} is longer than {MAX_SECRET} bytes")))
}

fn text(bytes: &[u8], name: &str) -> Result<SecretText, Error> {
    let text = str::from_utf8(bytes).map_err(|_| Error::usage(format!("{name} is not valid UTF-8")))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Error::usage(format!("{name} is empty")));
    }
    Ok(text.to_owned().into())
}

/// Asks on the terminal. What is typed is not shown.
fn prompt(question: &str) -> Result<SecretText, Error> {
    let hidden =
        Hidden::begin().map_err(|error| Error::internal(format!("the terminal cannot be used: {error}")))?;
    terminal::ask(question);
    let typed = line(io::stdin().lock());
    drop(hidden);
    terminal::tell("");
    text(&typed?, "what was typed")
}

/// Reads what is typed up to the end of the line.
fn line(mut keys: impl Read) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut typed = Zeroizing::new(Vec::with_capacity(MAX_SECRET));
    let mut key = [0];
    loop {
        match keys.read(&mut key) {
            Ok(0) => return Ok(typed),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::internal(format!("the terminal cannot be read: {error}"))),
        }
        match key[0] {
            b'\r' | b'\n' | END => return Ok(typed),
            INTERRUPT => return Err(Error::usage("interrupted")),
            key if BACKSPACE.contains(&key) => drop(typed.pop()),
            key if typed.len() < MAX_SECRET => typed.push(key),
            _ => {
                return Err(Error::usage(format!(
                    "a secret is no longer than {MAX_SECRET} bytes"
                )));
            }
        }
    }
}

/// A terminal that shows nothing of what is typed, until this is dropped. Ctrl-C is read like any key, so that the terminal
/// is never left as it is now.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(rustix::stdio::stdin())?;
        let mut now = before.clone();
        now.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        now.special_codes[SpecialCodeIndex::VMIN] = 1;
        now.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &now)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<String> {
        from(bytes, "it").ok().map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn one_line_end_is_not_part_of_a_secret() {
        for (bytes, secret) in [
            ("s", "s"),
            ("s\n", "s"),
            ("s\r\n", "s"),
            ("s\n\n", "s\n"),
            (" s ", " s "),
            ("-----BEGIN\nx\n-----END\n", "-----BEGIN\nx\n-----END"),
        ] {
            assert_eq!(read(bytes.as_bytes()).as_deref(), Some(secret), "{bytes:?}");
        }
        assert_eq!(
            read(&vec![b'x'; MAX_SECRET]).map(|secret| secret.len()),
            Some(MAX_SECRET)
        );
        for bad in [b"".as_slice(), b"\n", b"\xff", &vec![b'x'; MAX_SECRET + 1]] {
            assert!(read(bad).is_none());
        }
    }

    #[test]
    fn keys_are_taken_until_the_line_ends() {
        for (keys, typed) in [
            ("secret\r", Some("secret")),
            ("secret\nmore", Some("secret")),
            ("sex\x7fcret\x04", Some("secret")),
            ("\x08\x08s", Some("s")),
            ("sec\x03", None),
        ] {
            let line = line(keys.as_bytes()).ok();
            assert_eq!(
                line.as_ref().map(|line| line.as_slice()),
                typed.map(str::as_bytes),
                "{keys:?}"
            );
        }
    }
}

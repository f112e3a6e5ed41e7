//! The one owner of the terminal. Standard output carries what a script wants and nothing else; standard
//! error speaks to people, with colour and a moving line only where a terminal shows them.
//!
//! Text from elsewhere (a server's URL, a name, a message) passes [`Plain`]: it cannot move the cursor.

use std::fmt::{self, Display, Write as _};
use std::io::{self, IsTerminal as _, Write as _};

use ipc_proto::Failure;
use rustix::stdio;
use serde::Serialize;

use crate::environment;
use crate::error::Error;

/// Writes to standard output, past every buffer: what is written may be a token (I-008).
pub(crate) fn print(bytes: &[u8]) -> Result<(), Error> {
    Output.write_all(bytes).map_err(|error| not_printed(&error))
}

/// Prints one JSON object on a line of its own. Not for tokens: its buffer is not wiped.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Error> {
    let line = serde_json::to_string(value).expect("a String takes every write, and no map has odd keys");
    print(format!("{}\n", harmless(&line)).as_bytes())
}

/// Writes what could steer a terminal as JSON's escapes: outside of its texts JSON has no such characters.
fn harmless(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if ipc_proto::is_plain(c) {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown
}

struct Output;

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(stdio::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn not_printed(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Error::BrokenPipe,
        _ => Error::internal(format!("standard output takes no more: {error}")),
    }
}

/// Tells a person something, in lines. A closed standard error is no failure.
pub(crate) fn tell(text: impl Display) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Writes a question that is answered on the same line.
pub(crate) fn ask(question: &str) {
    let _ = io::stderr().write_all(question.as_bytes());
}

/// Tells a person what went wrong, and what to type next.
pub(crate) fn tell_failure(failure: &Failure) {
    tell(format_args!("{} {}", red("ciba:"), Plain(&failure.message)));
    if let Some(hint) = &failure.hint {
        tell(format_args!("{} {}", bold("hint:"), Plain(hint)));
    }
}

/// A text from elsewhere. Characters that steer a terminal, reorder a line or hide are replaced.
pub(crate) struct Plain<'a>(pub(crate) &'a str);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |c: char| {
            if ipc_proto::is_plain(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        };
        self.0.chars().try_for_each(|c| f.write_char(shown(c)))
    }
}

/// Returns a text that stands out on a terminal.
pub(crate) fn bold(text: &str) -> impl Display {
    Styled { code: "1", text }
}

fn red(text: &str) -> impl Display {
    Styled { code: "1;31", text }
}

struct Styled<'a> {
    code: &'static str,
    text: &'a str,
}

impl Display for Styled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Plain(self.text);
        if takes_colour() {
            write!(f, "\x1b[{}m{text}\x1b[0m", self.code)
        } else {
            write!(f, "{text}")
        }
    }
}

/// Whether standard error is a terminal that understands colour, and the person wants it (no-color.org).
fn takes_colour() -> bool {
    takes_escapes() && environment::variable("NO_COLOR").is_none()
}

/// Whether standard error is a terminal that understands escape sequences.
fn takes_escapes() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// One line that is written over and over, on a terminal only. Cleared on drop. The cursor stays visible
/// and at the line's end, so that Ctrl-C at any moment leaves the terminal as it was.
pub(crate) struct Progress(());

impl Progress {
    /// Returns the line, or `None` where it would only clutter a log.
    pub(crate) fn new() -> Option<Self> {
        takes_escapes().then(|| Self(()))
    }

    /// Shows another text.
    pub(crate) fn show(&self, text: impl Display) {
        let _ = io::stderr().write_all(format!("\r{text}\x1b[K").as_bytes());
    }

    /// Takes the text away.
    pub(crate) fn clear(&self) {
        self.show("");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_without_steering_the_terminal() {
        let value = serde_json::json!({"a": "\u{9b}2J\u{202e}\u{e0062}\n Zoë"});
        let line = harmless(&value.to_string());
        assert_eq!(line, r#"{"a":"\u009b2J\u202e\udb40\udc62\n Zoë"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
    }

    #[test]
    fn a_text_from_elsewhere_cannot_steer_the_terminal() {
        assert_eq!(
            Plain("\x1b]0;x\x07a\r\nb").to_string(),
            "\u{fffd}]0;x\u{fffd}a\u{fffd}\u{fffd}b"
        );
        assert_eq!(Plain("https://a/\u{202e}b").to_string(), "https://a/\u{fffd}b");
        assert_eq!(Plain("a\u{e0062}\u{200b}c").to_string(), "a\u{fffd}\u{fffd}c");
        assert_eq!(Plain("Zoë 北").to_string(), "Zoë 北");
    }
}

//! What standard output can show when it is a person's terminal: colours, symbols, and lines of its width. In a
//! pipe a report is plain words.

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd;

use ipc_proto::Verdict;

use crate::environment;

/// The width of a terminal that does not tell it.
pub(crate) const USUAL_COLUMNS: usize = 80;

/// Standard output, as far as a report's form depends on it.
#[derive(Clone, Copy)]
pub(crate) struct Screen {
    /// `None` in a pipe: nothing is folded there.
    columns: Option<usize>,
    symbols: bool,
    colours: bool,
}

impl Screen {
    /// What is no terminal.
    #[cfg(test)]
    pub(crate) const PIPE: Self = Self {
        columns: None,
        symbols: false,
        colours: false,
    };

    /// Looks at standard output and the environment (no-color.org).
    pub(crate) fn of_stdout() -> Self {
        let set = |name: &str| environment::variable(name)?.into_string().ok();
        let terminal = io::stdout().is_terminal();
        Self {
            columns: terminal.then(|| columns_of(rustix::stdio::stdout())),
            symbols: terminal && is_utf8(set),
            colours: terminal && set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb"),
        }
    }

    /// Returns the sign that a check's line begins with.
    pub(crate) fn sign(self, verdict: Verdict) -> &'static str {
        let (symbol, word) = match verdict {
            Verdict::Ok => ("✓", "ok"),
            Verdict::Warning => ("!", "warning"),
            Verdict::Failure => ("✗", "failure"),
        };
        if self.symbols { symbol } else { word }
    }

    /// Returns the same in the colour it has, which takes no room.
    pub(crate) fn coloured_sign(self, verdict: Verdict) -> String {
        let sign = self.sign(verdict);
        let colour = match verdict {
            Verdict::Ok => 32,
            Verdict::Warning => 33,
            Verdict::Failure => 31,
        };
        if self.colours {
            format!("\x1b[1;{colour}m{sign}\x1b[0m")
        } else {
            sign.into()
        }
    }

    /// Folds each line of a text, and indents what follows it by two more than the line itself.
    pub(crate) fn page(self, text: &str) -> String {
        let line = |line: &str| {
            let indent = line.len() - line.trim_start_matches(' ').len();
            self.fold(line, 0, indent + 2)
        };
        text.split('\n').map(line).collect::<Vec<_>>().join("\n")
    }

    /// Breaks a text where the terminal would, but between words, and begins each further line with `indent`
    /// spaces. `used` columns of the first line are taken.
    pub(crate) fn fold(self, text: &str, used: usize, indent: usize) -> String {
        let Some(columns) = self.columns else {
            return text.into();
        };
        let mut folded = String::new();
        let mut at = used;
        for (index, word) in text.split(' ').enumerate() {
            let width = word.chars().count();
            if at > indent && at + 1 + width > columns {
                folded.push('\n');
                folded.extend(std::iter::repeat_n(' ', indent));
                at = indent;
            } else if index > 0 {
                folded.push(' ');
                at += 1;
            }
            folded.push_str(word);
            at += width;
        }
        folded
    }
}

/// Returns the width of a terminal.
pub(crate) fn columns_of(terminal: impl AsFd) -> usize {
    rustix::termios::tcgetwinsize(terminal).map_or(USUAL_COLUMNS, |size| match size.ws_col {
        0 => USUAL_COLUMNS,
        columns => columns.into(),
    })
}

/// Whether the locale's characters are UTF-8: the first of these that is set decides (POSIX, 8.2).
fn is_utf8(set: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    locale.is_some_and(|name| {
        let name = name.to_ascii_lowercase();
        name.contains("utf-8") || name.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_never_within_one() {
        let narrow = Screen {
            columns: Some(12),
            ..Screen::PIPE
        };
        assert_eq!(narrow.fold("one two three four", 2, 2), "one two\n  three four");
        assert_eq!(
            narrow.fold("a urn:d:unified-gateway b", 2, 2),
            "a\n  urn:d:unified-gateway\n  b"
        );
        assert_eq!(
            narrow.fold("urn:d:unified-gateway", 2, 2),
            "urn:d:unified-gateway"
        );
        assert_eq!(
            narrow.page("a  b\n  kept in: memory\n\n"),
            "a  b\n  kept in:\n    memory\n\n"
        );
        assert_eq!(
            narrow.fold("123456 12345", 0, 2),
            "123456 12345",
            "as wide as the screen"
        );
        assert_eq!(narrow.fold("1234567 12345", 0, 2), "1234567\n  12345");
        assert_eq!(
            Screen::PIPE.fold("one two three four", 2, 2),
            "one two three four"
        );
    }

    #[test]
    fn symbols_need_a_locale_that_has_them() {
        let locale = |variables: &[(&str, &str)]| {
            is_utf8(|name| {
                let (_, value) = variables.iter().find(|(n, _)| *n == name)?;
                Some((*value).to_owned())
            })
        };
        assert!(locale(&[("LANG", "de_DE.UTF-8")]));
        assert!(locale(&[("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
        assert!(!locale(&[("LC_ALL", "C"), ("LANG", "C.UTF-8")]));
        assert!(!locale(&[]));
    }

    #[test]
    fn colours_and_symbols_come_each_by_itself() {
        let colours = Screen {
            colours: true,
            ..Screen::PIPE
        };
        let symbols = Screen {
            symbols: true,
            ..Screen::PIPE
        };
        assert_eq!(
            colours.coloured_sign(Verdict::Failure),
            "\x1b[1;31mfailure\x1b[0m"
        );
        assert_eq!(symbols.coloured_sign(Verdict::Ok), "✓");
        assert_eq!(Screen::PIPE.coloured_sign(Verdict::Warning), "warning");
    }
}

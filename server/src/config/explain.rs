//! What is wrong with a configuration, in words that the operator can act on: where, at which key, and which name was
//! meant. A value of the configuration may be a secret, so an explanation has none.

use toml::de::Error;

/// Characters of a misspelt name that are repeated.
const MAX_NAME: usize = 64;

/// How alike (Jaro–Winkler, 0 to 1) a value must be to one of the allowed words to be repeated as a misspelling of it.
const MISSPELT: f64 = 0.8;

/// Returns the line and column, both from 1, at which a text is wrong.
pub(super) fn place(error: &Error, text: &str) -> Option<String> {
    let before = text.get(..error.span()?.start)?;
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before[start..].chars().count() + 1;
    Some(format!("line {line}, column {column}"))
}

/// Returns the key and what is wrong there.
pub(super) fn problem(mut error: Error) -> String {
    let problem = match Unknown::of(error.message()) {
        Some(unknown) => unknown.to_string(),
        None => without_value(error.message()),
    };
    match key(&mut error) {
        Some(key) => format!("{key}: {problem}"),
        None => problem,
    }
}

/// Returns the dotted key. Toml tells it only as the last line of a message without the text it read.
fn key(error: &mut Error) -> Option<String> {
    error.set_input(None);
    let text = error.to_string();
    let key = text.strip_prefix(error.message())?.trim();
    Some(key.strip_prefix("in `")?.strip_suffix('`')?.to_owned())
}

/// A name that no key or value has.
struct Unknown<'a> {
    /// `key` or `value`.
    what: &'static str,
    name: &'a str,
    known: Vec<&'a str>,
}

impl<'a> Unknown<'a> {
    /// Takes serde's "unknown field `a`, expected one of `b`, `c`" apart, and "unknown variant" alike.
    fn of(message: &'a str) -> Option<Self> {
        let (what, names) = match message.strip_prefix("unknown field `") {
            Some(names) => ("key", names),
            None => ("value", message.strip_prefix("unknown variant `")?),
        };
        // The name itself may hold anything, the known ones do not.
        let (name, known) = names.rsplit_once("`, expected ")?;
        let known = known.split('`').skip(1).step_by(2).collect();
        Some(Self { what, name, known })
    }

    /// Returns the known name that is most like this one, and how much.
    fn nearest(&self) -> Option<(&'a str, f64)> {
        let likeness = |known: &'a str| (known, strsim::jaro_winkler(self.name, known));
        let known = self.known.iter().copied().map(likeness);
        known.max_by(|(_, a), (_, b)| a.total_cmp(b))
    }
}

impl std::fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nearest = self.nearest();
        write!(f, "unknown {}", self.what)?;
        if self.what == "key" || nearest.is_some_and(|(_, likeness)| likeness >= MISSPELT) {
            let name: String = self.name.escape_debug().take(MAX_NAME).collect();
            write!(f, " `{name}`")?;
        }
        nearest.map_or(Ok(()), |(known, _)| write!(f, "; did you mean `{known}`?"))
    }
}

/// Leaves out the value that serde quotes: "invalid type: string "x", expected u32".
fn without_value(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((_, wanted)) if message.starts_with("invalid ") => format!("expected {wanted}"),
        _ => message.trim().replace('\n', ", "),
    }
}

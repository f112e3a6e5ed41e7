//! What is wrong with a TOML text, in words that its writer can act on: where, and which name was meant.

use toml::de::Error;

use crate::printable::printable;

/// Characters of a misspelt name that are repeated.
const MAX_NAME: usize = 64;

/// Characters of an explanation.
const MAX_PROBLEM: usize = 300;

/// Returns what is wrong and where, without any value of the text.
pub(super) fn explain(error: &Error, text: &str) -> String {
    let problem = match unknown_name(error.message()) {
        Some(unknown) => unknown.to_string(),
        None => without_values(error.message().trim()),
    };
    match error.span() {
        Some(span) => format!("{}: {problem}", place(text, span.start)),
        None => problem,
    }
}

/// Returns the line and column, both from 1, of a byte.
fn place(text: &str, byte: usize) -> String {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before[start..].chars().count() + 1;
    format!("line {line}, column {column}")
}

/// A name that nothing has.
struct Unknown<'a> {
    /// `key` or `value`.
    what: &'static str,
    name: &'a str,
    known: Vec<&'a str>,
}

impl std::fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown {} `{}`", self.what, printable(self.name, MAX_NAME))?;
        let name = self.name.to_lowercase();
        let likeness = |known: &str| strsim::jaro_winkler(&name, known);
        let nearest = self
            .known
            .iter()
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean `{nearest}`?"))
    }
}

/// Takes serde's "unknown field `a`, expected one of `b`, `c`" apart; an "unknown variant" is of a value that is one of
/// a few words.
fn unknown_name(message: &str) -> Option<Unknown<'_>> {
    let (what, names) = match message.strip_prefix("unknown field `") {
        Some(names) => ("key", names),
        None => ("value", message.strip_prefix("unknown variant `")?),
    };
    // The name itself may hold anything, the known ones do not.
    let (name, known) = names.rsplit_once("`, expected ")?;
    Some(Unknown {
        what,
        name,
        known: known.split('`').skip(1).step_by(2).collect(),
    })
}

/// Serde quotes the value that has the wrong type: "invalid type: integer `5`, expected …".
fn without_values(message: &str) -> String {
    let problem = match message.rsplit_once(", expected ") {
        Some((_, wanted)) if message.starts_with("invalid ") => format!("expected {wanted}"),
        _ => message.replace('\n', ", "),
    };
    printable(&problem, MAX_PROBLEM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_as_editors_do() {
        let text = "a\nüb = 1\n";
        assert_eq!(place(text, 0), "line 1, column 1");
        assert_eq!(place(text, text.find('b').unwrap()), "line 2, column 2");
        assert_eq!(place(text, text.len()), "line 3, column 1");
        assert_eq!(place(text, 99), "line 3, column 1");
    }
}

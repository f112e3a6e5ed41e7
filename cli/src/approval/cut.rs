//! A client's text, made fit to be shown: plain characters, one space where there is room, and not too much of it.

use super::width::is_mark;
use crate::terminal::Plain;

/// Marks over one character. No language writes more; with many, they cover the lines around it.
const MAX_MARKS: usize = 4;

/// Characters of a text. The server has a person decide in the browser what would be cut.
pub(super) const MAX_VALUE: usize = 256;

/// Returns a text of plain characters, at most so many. What is cut off is replaced by an ellipsis.
pub(super) fn cut(text: &str, most: usize) -> String {
    let mut shown = tidy(text);
    if let Some((end, _)) = shown.char_indices().nth(most) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// Whether [`cut`] would cut a value.
pub(super) fn is_too_long(text: &str) -> bool {
    tidy(text).chars().count() > MAX_VALUE
}

/// Runs of spaces become one space: with several a text could look like rows of its own. What hides is seen.
fn tidy(text: &str) -> String {
    let plain = without_towers(&Plain(text).to_string());
    let words = plain.split(is_blank).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Replaces the marks that are too many over their character.
fn without_towers(text: &str) -> String {
    let mut marks = 0;
    let shown = text.chars().map(|c| {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if marks > MAX_MARKS {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    });
    shown.collect()
}

/// Unicode's spaces, and the one braille pattern that has no dot.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{2800}'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_211_runs_of_any_spaces_are_one_space_and_what_hides_is_seen() {
        assert_eq!(
            cut("Shop\u{a0}\u{3000}   Access\u{2003}\u{2800}  all ", 99),
            "Shop Access all"
        );
        assert_eq!(cut("a\u{200b} \u{3164}b", 99), "a\u{fffd} \u{fffd}b");
        assert_eq!(cut("   ", 99), "");
        let vietnamese = "Vie\u{302}\u{323}t";
        assert_eq!(cut(vietnamese, 99), vietnamese);
        let tower = format!("20{} EUR", "\u{336}\u{e47}".repeat(100));
        let shown = cut(&tower, 999);
        assert_eq!(shown.matches(is_mark).count(), MAX_MARKS, "{shown}");
        assert_eq!(shown.chars().count(), tower.chars().count(), "nothing is missing");
        assert_eq!(cut("a  bcd", 3), "a b…");
    }
}

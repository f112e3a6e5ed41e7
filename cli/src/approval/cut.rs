//! A client's text, made fit to be shown: plain characters, and not too many.

use crate::terminal::Plain;

/// Characters of a value. A binding message has no more (C-105).
pub(super) const MAX_VALUE: usize = 256;

/// Returns a text of plain characters, at most so many. What is cut off is replaced by an ellipsis.
pub(super) fn cut(text: &str, most: usize) -> String {
    let mut shown: String = Plain(text).to_string();
    if let Some((end, _)) = shown.char_indices().nth(most) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

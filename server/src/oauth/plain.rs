//! Texts of clients that people read: on the approval page, in the terminal, in an administrator's list.

/// Whether a text shows as it is: without control characters, separators of lines, and characters that change the
/// direction of what stands beside them (Unicode Standard Annex #9 §2).
pub(crate) fn is_plain(text: &str) -> bool {
    !text.contains(is_misleading)
}

/// Returns a text with a visible sign in place of each character that would not show as it is.
pub(crate) fn plain(text: &str) -> String {
    text.replace(is_misleading, "\u{fffd}")
}

fn is_misleading(c: char) -> bool {
    let steers =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || steers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_105_emoji_and_any_script_are_plain_and_what_steers_the_text_is_not() {
        for plain in ["", "Pay 5 € to Zoë", "支払い 👩‍👩‍👧", "שלום", "a\u{a0}b"] {
            assert!(is_plain(plain), "{plain}");
            assert_eq!(super::plain(plain), plain);
        }
        let steering = "\0\n\r\t\u{7f}\u{85}\u{9b}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}";
        for character in steering.chars() {
            assert!(!is_plain(&format!("a{character}b")), "{character:?}");
            assert_eq!(plain(&format!("a{character}b")), "a\u{fffd}b", "{character:?}");
        }
    }
}

//! Texts of clients that people read: on the approval page, in a mail, in an administrator's list.

/// Whether a name shows as it is. It has no control characters, no separators of lines, nothing that changes the direction of
/// what stands beside it (Unicode Standard Annex #9 §2), nothing that takes no room, and no private use characters.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.contains(is_hidden)
}

/// Returns a text with a visible sign in place of each character that would not show as it is.
pub(crate) fn plain(text: &str) -> String {
    text.replace(is_hidden, SIGN)
}

/// Whether a text for a person can be read: nothing steers what stands beside it, and it is not all blank. Emoji and some
/// scripts need characters that take no room, so it may have them (C-105).
pub(crate) fn is_legible(text: &str) -> bool {
    !text.contains(is_misleading) && text.contains(is_visible)
}

/// Returns a text with a visible sign in place of each character that steers what stands beside it.
pub(crate) fn legible(text: &str) -> String {
    text.replace(is_misleading, SIGN)
}

const SIGN: &str = "\u{fffd}";

fn is_visible(c: char) -> bool {
    !is_hidden(c) && !c.is_whitespace() && c != '\u{2800}'
}

fn is_hidden(c: char) -> bool {
    let is_private = matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}');
    is_misleading(c) || is_ignorable(c) || is_private
}

fn is_misleading(c: char) -> bool {
    let steers =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || steers
}

/// Unicode's `Default_Ignorable_Code_Point` (DerivedCoreProperties.txt): joiners, fillers, variation selectors, tags; and the
/// interlinear annotation controls.
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEERING: &str =
        "\0\n\r\t\u{7f}\u{85}\u{9b}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}";

    #[test]
    fn c_105_emoji_and_any_script_are_legible_and_what_steers_the_text_is_not() {
        for text in [
            "Pay 5 € to Zoë",
            "支払い 👩\u{200d}👩\u{200d}👧",
            "שלום",
            "a\u{a0}b",
            "نمی\u{200c}خواهم",
            "❤\u{fe0f}",
        ] {
            assert!(is_legible(text), "{text}");
            assert_eq!(legible(text), text);
        }
        for character in STEERING.chars() {
            assert!(!is_legible(&format!("a{character}b")), "{character:?}");
            assert_eq!(legible(&format!("a{character}b")), "a\u{fffd}b", "{character:?}");
        }
    }

    #[test]
    fn c_105_a_text_that_shows_nothing_is_not_legible() {
        for blank in [
            "",
            " ",
            "\u{a0}\u{3000}",
            "\u{200b}",
            "\u{200d}\u{fe0f}",
            "\u{3164}",
            "\u{2800}",
            "\u{e0041}",
        ] {
            assert!(!is_legible(blank), "{blank:?}");
            assert!(is_legible(&format!("{blank}1")), "{blank:?}");
        }
    }

    #[test]
    fn c_051_a_name_hides_nothing() {
        for name in ["", "Zoë's Shop 世界", "שלום", "Shop 😀"] {
            assert!(is_plain(name), "{name}");
            assert_eq!(plain(name), name);
        }
        for hidden in
            "\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{3164}\u{ffa0}\u{fe0f}\u{e0041}\u{e000}".chars()
        {
            assert!(!is_plain(&format!("Shop{hidden}")), "{hidden:?}");
            assert_eq!(plain(&format!("Shop{hidden}")), "Shop\u{fffd}", "{hidden:?}");
        }
    }

    #[test]
    fn c_051_a_name_that_is_plain_here_is_plain_in_the_terminal() {
        for c in '\0'..=char::MAX {
            assert_eq!(!is_hidden(c), ipc_proto::is_plain(c), "{c:?}");
        }
    }
}

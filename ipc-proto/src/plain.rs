//! Which characters of a text from elsewhere (a server, a provider, a peer) a person's terminal may be given.

/// Returns whether a character stands for itself: it neither steers a terminal, nor turns the reading direction of
/// what follows, nor hides.
///
/// It is none of Unicode's controls (Cc), line and paragraph separators (Zl, Zp), bidirectional and annotation
/// controls, code points that take no room (`Default_Ignorable_Code_Point`: zero-width characters, variation selectors,
/// tags) and private use code points (Co), which look as each font likes.
pub fn is_plain(c: char) -> bool {
    !(c.is_control() || is_separator(c) || is_ignorable(c) || is_private(c))
}

fn is_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Unicode's `Default_Ignorable_Code_Point` (DerivedCoreProperties.txt), which has the bidirectional controls in it,
/// and the interlinear annotation controls.
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

fn is_private(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_reorders_or_hides_is_not_plain() {
        let refused = [
            ("controls", "\0\x07\t\n\r\x1b\x7f"),
            ("C1 controls", "\u{80}\u{85}\u{9b}\u{9d}\u{9f}"),
            ("separators", "\u{2028}\u{2029}"),
            (
                "bidirectional controls",
                "\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}",
            ),
            (
                "zero-width characters",
                "\u{ad}\u{34f}\u{180e}\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}",
            ),
            ("fillers", "\u{115f}\u{1160}\u{3164}\u{ffa0}"),
            (
                "variation selectors",
                "\u{180b}\u{fe00}\u{fe0f}\u{e0100}\u{e01ef}",
            ),
            ("annotations", "\u{fff9}\u{fffa}\u{fffb}"),
            ("tags", "\u{e0000}\u{e0001}\u{e0020}\u{e007f}"),
            ("music and shorthand controls", "\u{1bca0}\u{1d173}"),
            ("private use", "\u{e000}\u{f8ff}\u{f0000}\u{10fffd}"),
        ];
        for (what, text) in refused {
            for c in text.chars() {
                assert!(!is_plain(c), "{what}: {c:?}");
            }
        }
    }

    #[test]
    fn what_people_write_is_plain() {
        let text = " ~Zoë Grüße Ελληνικά עברית العربية हिन्दी 世界 日本語 한국어 e\u{301} €→✓😀\u{fffd}";
        for c in text.chars() {
            assert!(is_plain(c), "{c:?}");
        }
    }
}

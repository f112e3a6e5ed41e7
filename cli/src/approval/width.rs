//! How many columns of a terminal a text takes. Pure.

/// Returns the columns of a character at most: no wide one comes before Hangul (Unicode Standard Annex #11), and on some
/// terminals those that are narrow elsewhere are wide.
pub(super) fn at_most(c: char) -> usize {
    if c < '\u{1100}' { 1 } else { 2 }
}

/// Returns the columns of a text on most terminals.
pub(super) fn usual(text: &str) -> usize {
    let column = |c| {
        if is_mark(c) {
            0
        } else {
            1 + usize::from(is_wide(c))
        }
    };
    text.chars().map(column).sum()
}

/// Returns a text with spaces behind it, so that it takes so many columns.
pub(super) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(usual(text))))
}

/// Whether a character is drawn over the one before it: the marks that scripts with an alphabet use, of which a text may
/// stack any number.
pub(super) fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'..='\u{5c2}'
        | '\u{5c4}'..='\u{5c5}' | '\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}' | '\u{6e7}'..='\u{6e8}' | '\u{6ea}'..='\u{6ed}'
        | '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}' | '\u{eb1}' | '\u{eb4}'..='\u{ebc}'
        | '\u{ec8}'..='\u{ece}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20f0}'
        | '\u{302a}'..='\u{302d}' | '\u{3099}'..='\u{309a}' | '\u{fe20}'..='\u{fe2f}')
}

/// East Asian wide and fullwidth characters, and emoji, by their blocks.
fn is_wide(c: char) -> bool {
    matches!(c,
        '\u{1100}'..='\u{115f}' | '\u{231a}'..='\u{231b}' | '\u{23e9}'..='\u{23ec}' | '\u{2705}' | '\u{274c}'
        | '\u{2753}'..='\u{2755}' | '\u{2e80}'..='\u{a4cf}' | '\u{a960}'..='\u{a97c}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff01}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}'
        | '\u{17000}'..='\u{18aff}' | '\u{1b000}'..='\u{1b2ff}' | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}' | '\u{1f900}'..='\u{1f9ff}' | '\u{1fa70}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_as_many_columns_as_its_characters_are_wide() {
        for (text, columns) in [
            ("", 0),
            ("Pay 20 EUR", 10),
            ("\u{201c}Zoë…\u{201d}", 6),
            ("Zoe\u{308}", 3),
            ("送金 100", 8),
            ("ＰＡＹ", 6),
            ("한국어", 6),
            ("🍕", 2),
            ("ภาษาไทยก็", 8),
        ] {
            assert_eq!(usual(text), columns, "{text}");
            assert_eq!(usual(&padded(text, 12)), 12, "{text}");
            assert!(text.chars().map(at_most).sum::<usize>() >= columns, "{text}");
        }
        assert_eq!(padded("送金", 3), "送金");
    }
}

//! Lines that are no wider than the terminal, which would go on at its left edge: there a client's text could look like a
//! row of ours. Pure.

use super::width::at_most;

/// The columns that a text keeps on a narrow terminal.
const MIN_ROOM: usize = 20;

/// Breaks a text, between words where it can. `at` columns of its first line are taken; each further line begins with
/// `hang` spaces.
pub(super) fn wrap(text: &str, mut at: usize, hang: usize, columns: usize) -> String {
    let columns = columns.max(hang + MIN_ROOM);
    let mut wrapped = String::with_capacity(text.len());
    for word in text.split_inclusive(' ') {
        let long: usize = word.trim_end_matches(' ').chars().map(at_most).sum();
        if at > hang && at + long > columns {
            at = begin_line(&mut wrapped, hang);
        }
        for c in word.chars() {
            if at + at_most(c) > columns {
                // A space at the edge is not seen.
                if c == ' ' {
                    continue;
                }
                at = begin_line(&mut wrapped, hang);
            }
            wrapped.push(c);
            at += at_most(c);
        }
    }
    wrapped
}

fn begin_line(wrapped: &mut String, hang: usize) -> usize {
    wrapped.truncate(wrapped.trim_end_matches(' ').len());
    wrapped.push('\n');
    wrapped.extend(std::iter::repeat_n(' ', hang));
    hang
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn c_211_a_long_text_goes_on_below_itself() {
        assert_eq!(wrap("all of it", 4, 4, 40), "all of it");
        let shown = wrap("one two three four five six", 4, 4, 24);
        assert_eq!(shown, "one two three four\n    five six");
        let word = wrap(&"x".repeat(45), 4, 4, 24);
        assert_eq!(
            word.lines().map(|line| line.trim().len()).collect::<Vec<_>>(),
            [20, 20, 5]
        );
        assert_eq!(
            wrap("  key  value value", 0, 7, 0),
            "  key  value value",
            "a very narrow one"
        );
        assert_eq!(
            wrap(&"世".repeat(11), 4, 4, 24),
            format!("{}\n    世", "世".repeat(10))
        );
    }

    proptest! {
        #[test]
        fn c_211_no_line_is_too_wide_and_none_begins_at_the_edge(text in "[ a-zü世]{0,300}", hang in 1_usize..30, columns in 0_usize..120) {
            let wrapped = wrap(&text, hang, hang, columns);
            let most = columns.max(hang + MIN_ROOM);
            for (n, line) in wrapped.split('\n').enumerate() {
                let wide: usize = line.chars().map(at_most).sum();
                prop_assert!(wide + if n == 0 { hang } else { 0 } <= most, "{line:?}");
                prop_assert!(n == 0 || line.starts_with(&" ".repeat(hang)));
            }
            let without = |text: &str| text.replace([' ', '\n'], "");
            prop_assert_eq!(without(&wrapped), without(&text));
        }
    }
}

//! What an operator reads: rows under a heading, each column as wide as it has to be.

use std::fmt::Write as _;

/// Returns the rows as text. The last column may have any script: nothing stands behind it.
pub(super) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let heading = heading.map(str::to_owned);
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = std::iter::once(&heading)
            .chain(rows)
            .map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    });
    let mut text = String::new();
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_no_line_ends_in_spaces() {
        let rows = [["long-id", "é", "Zoë"], ["x", "", ""]].map(|row| row.map(String::from));
        assert_eq!(
            table(["id", "mode", "name"], &rows),
            "id       mode  name\nlong-id  é     Zoë\nx\n"
        );
    }
}

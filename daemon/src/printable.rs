//! Text from elsewhere (a server, a person's file, this machine's name), made fit to be shown on one line.

/// Returns at most `most` characters of a text, without those that are not printed as themselves.
pub(crate) fn printable(text: &str, most: usize) -> String {
    let plain = |c: &char| ipc_proto::is_plain(*c);
    let line: String = text.trim().chars().filter(plain).take(most).collect();
    line.trim_end().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_cannot_move_a_cursor_or_fill_a_screen() {
        assert_eq!(printable(" \x1b[31mred\r\n\u{202e}x\u{7} ", 300), "[31mredx");
        assert_eq!(printable(&"ü".repeat(1_000), 300).chars().count(), 300);
        assert_eq!(printable("Grüße, 世界", 300), "Grüße, 世界");
    }
}

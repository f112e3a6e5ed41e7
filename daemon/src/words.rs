//! What a server says, made fit for a person's terminal: its error codes become ours, its texts lose whatever
//! could move a cursor or reorder a line.

use ipc_proto::{ErrorCode, Failure};

/// Characters of a server's explanation that are shown.
const MAX_TEXT: usize = 300;

/// Returns a server's refusal as a failure of ours. The codes are those of OAuth (RFC 6749 §4.1.2.1, §5.2,
/// RFC 8628 §3.5, RFC 8707 §2, OpenID Connect Core §3.1.2.6); the text is the server's.
pub(crate) fn failure(error: &str, description: &str) -> Failure {
    let code = match error {
        "access_denied" | "login_denied" => ErrorCode::LoginDenied,
        "expired" | "expired_token" => ErrorCode::Timeout,
        "login_required" | "invalid_grant" => ErrorCode::LoginRequired,
        "invalid_target" => ErrorCode::InvalidTarget,
        "temporarily_unavailable" => ErrorCode::ServerUnreachable,
        "slow_down" => ErrorCode::Busy,
        // `invalid_request`, `invalid_client` and the like are between the server and its provider: nobody here
        // typed anything wrong.
        _ => ErrorCode::Internal,
    };
    let said = [description, error]
        .map(|text| printable(text, MAX_TEXT))
        .into_iter()
        .find(|text| !text.is_empty());
    Failure::new(code, said.unwrap_or_else(|| plain(code).into()))
}

/// Returns at most `most` characters of a text, without those that are not printed as themselves.
pub(crate) fn printable(text: &str, most: usize) -> String {
    let plain = |c: &char| ipc_proto::is_plain(*c);
    let line: String = text.trim().chars().filter(plain).take(most).collect();
    line.trim_end().into()
}

fn plain(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::LoginDenied => "the login was refused",
        ErrorCode::Timeout => "nobody logged in in time",
        ErrorCode::LoginRequired => "the login is no longer valid",
        _ => "the server refused, and does not say why",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_cannot_move_a_cursor_or_fill_a_screen() {
        assert_eq!(printable(" \x1b[31mred\r\n\u{202e}x\u{7} ", 300), "[31mredx");
        assert_eq!(printable(&"ü".repeat(1_000), MAX_TEXT).chars().count(), MAX_TEXT);
        assert_eq!(printable("Grüße, 世界", 300), "Grüße, 世界");
    }

    #[test]
    fn d_042_codes_pass_through() {
        for (error, code) in [
            ("access_denied", ErrorCode::LoginDenied),
            ("expired_token", ErrorCode::Timeout),
            ("invalid_grant", ErrorCode::LoginRequired),
            ("invalid_target", ErrorCode::InvalidTarget),
            ("temporarily_unavailable", ErrorCode::ServerUnreachable),
            ("invalid_request", ErrorCode::Internal),
            ("invalid_client", ErrorCode::Internal),
            ("unauthorized_client", ErrorCode::Internal),
            ("from 2030", ErrorCode::Internal),
        ] {
            assert_eq!(failure(error, "why").code, code, "{error}");
        }
        assert_eq!(failure("access_denied", "Ask Bob.").message, "Ask Bob.");
        assert_eq!(failure("server_error", "").message, "server_error");
        assert_eq!(
            failure("", "\n").message,
            "the server refused, and does not say why"
        );
    }
}

//! An error as OAuth servers tell it, a code and a description, becomes a failure of ours (D-042).

use ipc_proto::{ErrorCode, Failure};

use crate::printable::printable;

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

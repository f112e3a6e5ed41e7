//! Why a person was not signed in, in a person's words.

/// Says an OAuth error code of the provider in plain words: a whole sentence.
pub(super) fn plain_reason(error: &str) -> &'static str {
    match error {
        "access_denied" => "The sign-in was cancelled or not allowed.",
        "temporarily_unavailable" | "server_error" => "The identity provider has a problem right now.",
        "login_required" | "interaction_required" | "consent_required" => {
            "The identity provider needs you to sign in again."
        }
        _ => "The identity provider did not accept the sign-in.",
    }
}

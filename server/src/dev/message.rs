//! What the token endpoint is asked and answers (RFC 6749, RFC 8693): the messages that all grants share.

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// The body is no form, or too long.
pub(super) const UNREADABLE: Refusal = Refusal::invalid_request("the form cannot be read");
/// More scope is asked for than there is.
pub(super) const TOO_WIDE: Refusal = Refusal::invalid_scope("the scope exceeds what was granted");
/// Signing failed.
pub(super) const BROKEN: Refusal = Refusal::server_error("the provider could not finish the request");

/// Everything a token request may carry; each grant picks its own. A parameter given twice is refused.
#[derive(Deserialize)]
pub(super) struct TokenRequest {
    pub(super) grant_type: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) scope: Option<String>,
    // authorization_code
    pub(super) code: Option<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) code_verifier: Option<String>,
    // refresh_token
    pub(super) refresh_token: Option<String>,
    // token exchange
    pub(super) subject_token: Option<String>,
    pub(super) subject_token_type: Option<String>,
    pub(super) requested_token_type: Option<String>,
    pub(super) actor_token: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) resource: Option<String>,
}

/// A successful answer (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3, RFC 8693 §2.2.1).
#[derive(Serialize)]
pub(super) struct TokenResponse {
    pub(super) access_token: String,
    pub(super) token_type: &'static str,
    pub(super) expires_in: u64,
    pub(super) scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issued_token_type: Option<&'static str>,
}

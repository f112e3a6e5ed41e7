//! What is said when a person is asked for their consent, and its form for programs.

use serde::Serialize;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::clock::rfc3339;

/// Bytes that are reserved for the JSON of a notice.
const CAPACITY: usize = 4 * 1024;

/// A client asks a person for their consent (C-210). It holds the `auth_req_id`: there is no `Debug`.
pub(crate) struct Notice {
    /// Who is asked.
    pub(crate) sub: String,
    /// Their e-mail address, if it was verified.
    pub(crate) email: Option<String>,
    /// The request's short name, for logs.
    pub(crate) handle: String,
    pub(crate) auth_req_id: Zeroizing<String>,
    pub(crate) client_id: String,
    pub(crate) client_name: String,
    /// Values with spaces between them.
    pub(crate) scope: String,
    /// RFC 8707
    pub(crate) resources: Vec<String>,
    pub(crate) binding_message: Option<String>,
    /// RFC 9396
    pub(crate) authorization_details: Option<Value>,
    /// What the client says of its agent; it was not checked (C-113).
    pub(crate) agent_claims: Option<Value>,
    /// Unix seconds.
    pub(crate) expires_at: u64,
    /// Has the `auth_req_id`.
    pub(crate) approval_url: Url,
}

/// A notice as programs read it.
#[derive(Serialize)]
struct Json<'a> {
    r#type: &'static str,
    sub: &'a str,
    email: Option<&'a str>,
    request: &'a str,
    auth_req_id: &'a str,
    client_id: &'a str,
    client_name: &'a str,
    scope: &'a str,
    resources: &'a [String],
    binding_message: Option<&'a str>,
    authorization_details: Option<&'a Value>,
    agent_claims: Option<&'a Value>,
    expires_at: String,
    approval_url: &'a str,
}

impl Notice {
    /// Returns the notice as a JSON object on one line.
    pub(super) fn json(&self) -> Zeroizing<Vec<u8>> {
        let json = Json {
            r#type: "ciba.approval_requested",
            sub: &self.sub,
            email: self.email.as_deref(),
            request: &self.handle,
            auth_req_id: &self.auth_req_id,
            client_id: &self.client_id,
            client_name: &self.client_name,
            scope: &self.scope,
            resources: &self.resources,
            binding_message: self.binding_message.as_deref(),
            authorization_details: self.authorization_details.as_ref(),
            agent_claims: self.agent_claims.as_ref(),
            expires_at: rfc3339(self.expires_at),
            approval_url: self.approval_url.as_str(),
        };
        let mut text = Zeroizing::new(Vec::with_capacity(CAPACITY));
        serde_json::to_writer(&mut *text, &json).expect("texts and JSON become JSON");
        text
    }
}

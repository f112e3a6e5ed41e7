//! What is said when a person is asked for their consent, and its form for programs.

use serde::Serialize;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::ciba::question::Question;
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
    pub(crate) question: Question,
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
    scope: String,
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
        let question = &self.question;
        let json = Json {
            r#type: "ciba.approval_requested",
            sub: &self.sub,
            email: self.email.as_deref(),
            request: &self.handle,
            auth_req_id: &self.auth_req_id,
            client_id: &self.client_id,
            client_name: &question.client_name,
            scope: question.scope.join(" "),
            resources: &question.resources,
            binding_message: question.binding_message.as_deref(),
            authorization_details: question.authorization_details.as_ref(),
            agent_claims: question.agent_claims.as_ref(),
            expires_at: rfc3339(question.expires_at),
            approval_url: self.approval_url.as_str(),
        };
        let mut text = Zeroizing::new(Vec::with_capacity(CAPACITY));
        serde_json::to_writer(&mut *text, &json).expect("texts and JSON become JSON");
        text
    }
}

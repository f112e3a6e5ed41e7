//! What a client asks of a person. It is the same question wherever the person reads it: on the page (C-220, C-233), in a
//! terminal (C-211), in a notice (C-210).

use serde_json::Value;
use url::Url;

use super::request::Request;
use crate::oauth::client::Client;

/// The question.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) client_name: String,
    /// The client's own page.
    pub(crate) client_uri: Option<Url>,
    /// Whether the operator says what the client is.
    pub(crate) client_vouched: bool,
    pub(crate) scope: Vec<String>,
    /// RFC 8707
    pub(crate) resources: Vec<String>,
    pub(crate) binding_message: Option<String>,
    /// RFC 9396
    pub(crate) authorization_details: Option<Value>,
    /// What the client says of its agent; it was not checked (C-113).
    pub(crate) agent_claims: Option<Value>,
    /// Unix seconds.
    pub(crate) created_at: u64,
    /// Unix seconds.
    pub(crate) expires_at: u64,
}

impl Question {
    /// Returns what this client asks with this request.
    pub(super) fn of(request: &Request, client: &Client) -> Self {
        Self {
            client_name: client.metadata.client_name.clone(),
            client_uri: client.metadata.client_uri.clone(),
            client_vouched: client.is_vouched_for(),
            scope: request.scope.clone(),
            resources: request.resources.clone(),
            binding_message: request.binding_message.clone(),
            authorization_details: request.authorization_details.clone(),
            agent_claims: request.agent_claims.clone(),
            created_at: request.created_at,
            expires_at: request.expires_at,
        }
    }
}

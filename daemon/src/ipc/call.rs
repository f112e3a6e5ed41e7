//! One request under way: what it acts on, who asks, and where its answer goes.

use ipc_proto::{AuditEntry, ProfileName};

use super::Context;
use super::caller::Caller;
use super::reply::Reply;
use crate::audit;
use crate::table::Token;

/// What every operation has at hand.
pub(super) struct Call<'a> {
    pub(super) context: &'a Context,
    pub(super) caller: &'a Caller,
    pub(super) reply: Reply,
}

impl Call<'_> {
    /// Writes down that the caller gets this token, while it still waits for it.
    pub(super) fn audit(&self, tool: &str, host: Option<String>, profile: &ProfileName, token: &Token) {
        if !self.caller.gets(token.serial(), tool, host.as_deref()) {
            return;
        }
        self.context.audit.note(AuditEntry {
            time: audit::time(),
            tool: tool.into(),
            pid: self.caller.pid,
            executable: self.caller.executable().map(Into::into),
            host,
            resource: token.resource.to_string(),
            profile: Some(profile.clone()),
            client_id: None,
            serial: token.serial(),
        });
    }
}

//! The client is told of a decision: a ping, or the tokens themselves (CIBA Core §10.2, §10.3).

use super::name::Name;
use super::provider::Ciba;
use super::request::{Request, Stage};

impl Ciba {
    /// Tells the client of a decision, beside the answer to the person (C-232).
    pub(super) fn tell_client(&self, _name: &Name, _request: &Request) {}

    /// A request has expired undecided.
    pub(super) async fn expired(&self, name: &Name) {
        if let Ok(Some(request)) = self.requests.find(name).await
            && let Some(sub) = &request.sub
        {
            self.terminals.withdraw(sub, name);
        }
    }

    /// Takes up a request of an earlier process.
    pub(super) fn resume_one(&self, name: Name, request: &Request) {
        if request.stage == Stage::Pending {
            let whose = (
                request.client_id.as_str(),
                request.sub.as_deref().unwrap_or_default(),
            );
            self.open
                .restore(name, whose, request.expires_at, self.interval());
        }
    }
}

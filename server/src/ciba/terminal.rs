//! What a person's terminals are shown of the requests that wait for them (C-211).

use super::name::Name;
use super::pending::{Pending, fits_terminal, needs_fresh_login};
use super::provider::Ciba;
use super::question::Question;
use super::request::{Request, Stage};

impl Ciba {
    /// Returns what waits for a person's decision, for their terminal (C-211).
    pub(crate) async fn pending(&self, sub: &str) -> Vec<Pending> {
        let mut pending = Vec::new();
        if self.is_known(sub).await != Ok(true) {
            return pending;
        }
        for name in self.open.of_user(sub) {
            if let Ok(Some(request)) = self.requests.find(&name).await {
                pending.extend(self.pending_of(&name, &request).await);
            }
        }
        pending
    }

    /// Shows a new request to its person's terminals.
    pub(super) async fn show(&self, name: &Name, request: &Request) {
        if let Some(pending) = self.pending_of(name, request).await {
            self.terminals.show(&pending);
        }
    }

    /// Returns the request as a terminal sees it, if it is to see it.
    pub(super) async fn pending_of(&self, name: &Name, request: &Request) -> Option<Pending> {
        let sub = request.sub.clone().filter(|_| self.config.terminal.enabled)?;
        if request.stage != Stage::Pending {
            return None;
        }
        let client = self.clients.find(&request.client_id).await.ok()??;
        let question = Question::of(request, &client);
        let needs_login = needs_fresh_login(request, &self.config.terminal) || !request.acr_values.is_empty();
        Some(Pending {
            name: *name,
            sub,
            needs_browser: needs_login || !fits_terminal(&question),
            question,
            approval_url: self.approval_url(&request.auth_req_id),
        })
    }
}

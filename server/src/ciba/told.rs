//! The client is told of a decision: with a ping, or with the tokens themselves (CIBA Core §10.2, §10.3). Nothing here holds
//! up the person who decided (C-232).

use std::sync::Arc;

use zeroize::Zeroizing;

use super::decide::No;
use super::deliver::{Body, Delivery, Ended, Owner, PushError, ping, push, push_error};
use super::grant::granted;
use super::name::Name;
use super::provider::Ciba;
use super::request::{Fixed, Request, Stage, Standing};
use crate::cause::chain;
use crate::clock::now;
use crate::config::Mode;
use crate::oauth;
use crate::oauth::client::Client;
use crate::oauth::grants::GrantId;

/// A ping that is under way. A failed one changes nothing: the client can poll (C-336).
struct Pinged {
    ciba: Ciba,
    name: Name,
}

/// Tokens that are on their way to a push client.
struct Pushed {
    ciba: Ciba,
    name: Name,
    grant: GrantId,
    client: Arc<Client>,
}

/// A push client is being told why there are no tokens.
struct Refused {
    ciba: Ciba,
    name: Name,
    error: PushError,
}

impl Ciba {
    /// Tells the client of a decision.
    pub(super) fn tell_client(&self, name: &Name, request: &Request) {
        if request.mode == Mode::Poll {
            return;
        }
        let (ciba, name, request) = (self.clone(), *name, request.clone());
        self.work.tasks.spawn(async move {
            match (request.mode, &request.stage) {
                (Mode::Push, Stage::Approved(_)) => ciba.push(name, &request).await,
                (Mode::Push, _) => ciba.refuse(name, &request, PushError::AccessDenied).await,
                _ => ciba.ping(name, &request).await,
            }
        });
    }

    /// A request has expired undecided: its person is no longer asked, and a push client is told (C-367).
    pub(super) async fn expired(&self, name: &Name) {
        let Ok(Some(request)) = self.requests.find(name).await else {
            return;
        };
        if let Some(sub) = &request.sub {
            self.terminals.withdraw(sub, name);
        }
        self.tell_expiry(name, &request).await;
    }

    /// Takes up a request of an earlier process (C-422). A client that may not know of the decision is told once more.
    pub(super) async fn take_up(&self, name: Name, request: &Request) {
        let is_untold = request.notification.is_some();
        match &request.stage {
            Stage::Pending => {
                let whose = (
                    request.client_id.as_str(),
                    request.sub.as_deref().unwrap_or_default(),
                );
                self.open
                    .restore(name, whose, request.expires_at, self.interval());
            }
            Stage::Approved(approval) if is_untold => {
                // Whether those tokens arrived is not known: only the ones that are made now will be good.
                if let Some(grant) = &approval.grant {
                    self.revoke(&GrantId::from(grant.as_str())).await;
                }
                self.tell_client(&name, request);
            }
            Stage::Rejected if is_untold => self.tell_client(&name, request),
            _ => {}
        }
    }

    async fn tell_expiry(&self, name: &Name, request: &Request) {
        if request.mode == Mode::Push && self.config.push_expiry {
            self.refuse(*name, request, PushError::ExpiredToken).await;
        } else if request.notification.is_some() {
            self.close(name, Request::told).await;
        }
    }

    async fn ping(&self, name: Name, request: &Request) {
        let owner = Pinged {
            ciba: self.clone(),
            name,
        };
        let retries = self.config.deliver.ping_retries;
        self.deliver(name, request, ping(&request.auth_req_id), retries, owner)
            .await;
    }

    /// Makes the tokens once (C-363), and sends them.
    async fn push(&self, name: Name, request: &Request) {
        let client = match self.client_of(&name, request).await {
            Ok(client) => client,
            Err(No::ClientGone) => return,
            Err(_) => return self.refuse(name, request, PushError::TransactionFailed).await,
        };
        if self.person_of(request).await.is_err() {
            return self.refuse(name, request, PushError::TransactionFailed).await;
        }
        let delivery = oauth::issue::Delivery::Pushed {
            auth_req_id: &request.auth_req_id,
        };
        let grant = granted(request, request.resources.clone());
        let (grant, response) = match self.issuer.begin(&client, grant, delivery).await {
            Ok(made) => made,
            Err(error) => {
                tracing::error!(error = chain(&error), "tokens could not be made");
                return self.refuse(name, request, PushError::TransactionFailed).await;
            }
        };
        let noted = self
            .requests
            .edit(&name, |request| request.push(grant.as_str(), now().seconds()))
            .await;
        if !matches!(noted, Ok(Some(Ok(_)))) {
            self.revoke(&grant).await;
        }
        match noted {
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(Fixed::Expired))) => return self.tell_expiry(&name, request).await,
            // It ended in another way, or its client is gone.
            Ok(Some(Err(Fixed::Elsewhere)) | None) => return,
            Err(error) => {
                tracing::error!(error = chain(&error), "a delivery could not be noted");
                return self.refuse(name, request, PushError::TransactionFailed).await;
            }
        }
        let body = push(&request.auth_req_id, &response);
        let owner = Pushed {
            ciba: self.clone(),
            name,
            grant,
            client,
        };
        let retries = self.config.deliver.push_retries;
        self.deliver(name, request, body, retries, owner).await;
    }

    async fn refuse(&self, name: Name, request: &Request, error: PushError) {
        let owner = Refused {
            ciba: self.clone(),
            name,
            error,
        };
        let retries = match error {
            // It is said once: the client has a clock as well.
            PushError::ExpiredToken => 0,
            PushError::AccessDenied | PushError::TransactionFailed => self.config.deliver.push_retries,
        };
        let body = push_error(&request.auth_req_id, error);
        self.deliver(name, request, body, retries, owner).await;
    }

    async fn deliver(&self, name: Name, request: &Request, body: Body, retries: u64, owner: impl Owner) {
        let Some(notification) = &request.notification else {
            return;
        };
        let delivery = Delivery {
            endpoint: notification.endpoint.clone(),
            token: Zeroizing::new(notification.token.clone()),
            body,
            retries,
            expires_at: request.expires_at,
            handle: name.handle(),
            client_id: request.client_id.clone(),
        };
        self.deliveries.begin(delivery, owner).await;
    }

    /// Changes a request whose client was told, or could not be.
    async fn close(&self, name: &Name, close: impl FnMut(&mut Request) -> Result<(), Fixed>) {
        if let Err(error) = self.requests.edit(name, close).await {
            tracing::error!(
                request = name.handle(),
                error = chain(&error),
                "a request could not be closed"
            );
        }
    }

    async fn revoke(&self, grant: &GrantId) {
        if let Err(error) = self.issuer.grants.revoke(grant).await {
            tracing::error!(
                error = chain(&error),
                "tokens that reached no client could not be revoked"
            );
        }
    }
}

impl Owner for Pinged {
    async fn is_wanted(&self) -> bool {
        let Ok(Some(request)) = self.ciba.requests.find(&self.name).await else {
            return false;
        };
        matches!(
            request.standing(now().seconds()),
            Standing::Approved(_) | Standing::Rejected
        )
    }

    async fn ended(self, _: Ended) {
        self.ciba.close(&self.name, Request::told).await;
    }
}

impl Owner for Pushed {
    /// Client and person are looked up again (C-267, C-362): a delivery may take minutes.
    async fn is_wanted(&self) -> bool {
        let Ok(Some(request)) = self.ciba.requests.find(&self.name).await else {
            return false;
        };
        self.ciba.client_of(&self.name, &request).await.is_ok() && self.ciba.person_of(&request).await.is_ok()
    }

    async fn ended(self, how: Ended) {
        let Self {
            ciba,
            name,
            grant,
            client,
        } = self;
        if how == Ended::Delivered {
            return ciba.close(&name, Request::delivered).await;
        }
        ciba.revoke(&grant).await;
        if client.metadata.terms.poll_after_push {
            ciba.close(&name, Request::let_poll).await;
        } else {
            ciba.close(&name, Request::fail).await;
        }
    }
}

impl Owner for Refused {
    async fn is_wanted(&self) -> bool {
        true
    }

    async fn ended(self, _: Ended) {
        let close = match self.error {
            PushError::TransactionFailed => Request::fail,
            PushError::AccessDenied | PushError::ExpiredToken => Request::told,
        };
        self.ciba.close(&self.name, close).await;
    }
}

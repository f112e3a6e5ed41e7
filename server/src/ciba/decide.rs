//! A person decides (C-224 … C-232): one atomic step, whichever way the decision came.

use std::sync::Arc;

use super::name::Name;
use super::part::{NotPart, Part};
use super::pending::needs_fresh_login;
use super::provider::Ciba;
use super::question::Question;
use super::request::{Approval, Fixed, Request, Standing};
use super::requests::RequestsError;
use crate::browser::Person;
use crate::cause::chain;
use crate::clock::now;
use crate::config::Mode;
use crate::oauth::client::Client;
use crate::users::UsersError;

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Approve,
    Reject,
}

/// Who decides, and how they proved who they are.
pub(crate) struct Approver {
    pub(crate) sub: String,
    /// When they last signed in, Unix seconds.
    pub(crate) auth_time: u64,
    /// When the identity provider says that they proved who they are; `None`: it does not say.
    pub(crate) proved_at: Option<u64>,
    pub(crate) acr: Option<String>,
    pub(crate) amr: Vec<String>,
}

impl From<Person> for Approver {
    fn from(person: Person) -> Self {
        Self {
            proved_at: person.proved_at(),
            sub: person.sub,
            auth_time: person.auth_time,
            acr: person.acr,
            amr: person.amr,
        }
    }
}

/// A request as its person sees it (C-220, C-233).
pub(crate) struct Shown {
    /// Who is asked; for the page, never for `/ciba/verify`.
    pub(crate) sub: Option<String>,
    pub(crate) question: Question,
    pub(crate) acr_values: Vec<String>,
    pub(crate) status: Status,
    pub(crate) needs_fresh_login: bool,
}

/// How far a request is, for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Approved,
    Rejected,
}

/// Why a request is not shown, or not decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum No {
    /// There is none, or its tokens were handed out.
    Unknown,
    Expired,
    /// The client is gone or disabled, or no longer what it was when it asked; the request is dropped.
    ClientGone,
    /// The person who is asked is gone or disabled.
    PersonGone,
    /// Another person is asked.
    Foreign,
    /// It was decided before.
    Decided,
    /// A scope that is to be granted was not asked for (C-234).
    NotItsScope,
    /// So were authorization details.
    NotItsDetails,
    /// It needs a login that was made for it.
    NeedsFreshLogin,
    /// Something of ours is away.
    Unavailable,
}

impl From<RequestsError> for No {
    fn from(error: RequestsError) -> Self {
        tracing::error!(error = chain(&error), "a request could not be read or changed");
        Self::Unavailable
    }
}

impl From<UsersError> for No {
    fn from(error: UsersError) -> Self {
        tracing::error!(error = chain(&error), "a user could not be read");
        Self::Unavailable
    }
}

impl From<Fixed> for No {
    fn from(fixed: Fixed) -> Self {
        match fixed {
            Fixed::Expired => Self::Expired,
            Fixed::Elsewhere => Self::Decided,
        }
    }
}

impl From<NotPart> for No {
    fn from(not: NotPart) -> Self {
        match not {
            NotPart::Scope => Self::NotItsScope,
            NotPart::AuthorizationDetails => Self::NotItsDetails,
        }
    }
}

impl Ciba {
    /// Returns the request as its person sees it.
    pub(crate) async fn shown(&self, auth_req_id: &str) -> Result<Shown, No> {
        let name = Name::of(auth_req_id);
        let request = self.requests.find(&name).await?.ok_or(No::Unknown)?;
        let status = match request.standing(now().seconds()) {
            Standing::Pending => Status::Pending,
            Standing::Approved(_) => Status::Approved,
            Standing::Rejected => Status::Rejected,
            Standing::Over => return Err(No::Unknown),
            Standing::Expired => return Err(No::Expired),
        };
        let client = self.client_of(&name, &request).await?;
        self.person_of(&request).await?;
        Ok(Shown {
            needs_fresh_login: needs_fresh_login(&request, &self.config.terminal),
            question: Question::of(&request, &client),
            sub: request.sub,
            acr_values: request.acr_values,
            status,
        })
    }

    /// A person decides, in a browser; `part` is what they approve of.
    pub(crate) async fn decide(
        &self,
        auth_req_id: &str,
        approver: &Approver,
        decision: Decision,
        part: &Part,
    ) -> Result<(), No> {
        let name = Name::of(auth_req_id);
        let request = self.decidable(&name, &approver.sub).await?;
        let is_fresh = approver.proved_at.is_some_and(|at| at >= request.created_at);
        if decision == Decision::Approve && !is_fresh && needs_fresh_login(&request, &self.config.terminal) {
            return Err(No::NeedsFreshLogin);
        }
        self.conclude(&name, approver, decision, part).await
    }

    /// A person decides in their terminal, on which they signed in before. They approve what it shows them, by the rule that
    /// it was shown with.
    pub(crate) async fn decide_in_terminal(
        &self,
        name: &Name,
        approver: &Approver,
        decision: Decision,
    ) -> Result<(), No> {
        let request = self.decidable(name, &approver.sub).await?;
        let shown = self.pending_of(name, &request).await;
        if decision == Decision::Approve && shown.is_none_or(|pending| pending.needs_browser) {
            return Err(No::NeedsFreshLogin);
        }
        self.conclude(name, approver, decision, &Part::default()).await
    }

    /// The operator's own test decides for whoever is asked (C-235).
    pub(super) async fn decide_in_test(&self, auth_req_id: &str, decision: Decision) -> Result<(), No> {
        let name = Name::of(auth_req_id);
        let request = self.requests.find(&name).await?.ok_or(No::Unknown)?;
        let approver = Approver {
            sub: request.sub.clone().ok_or(No::Foreign)?,
            auth_time: now().seconds(),
            proved_at: None,
            acr: request.acr_values.first().cloned(),
            amr: Vec::new(),
        };
        self.decidable(&name, &approver.sub).await?;
        self.conclude(&name, &approver, decision, &Part::default()).await
    }

    /// Returns the request, if this person may decide it now.
    async fn decidable(&self, name: &Name, sub: &str) -> Result<Request, No> {
        let request = self.requests.find(name).await?.ok_or(No::Unknown)?;
        if request.sub.as_deref() != Some(sub) {
            return Err(No::Foreign);
        }
        match request.standing(now().seconds()) {
            Standing::Pending => {}
            Standing::Expired => return Err(No::Expired),
            // Its person decided it a moment ago, perhaps on another screen; the client has taken its tokens already.
            Standing::Approved(_) | Standing::Rejected | Standing::Over => return Err(No::Decided),
        }
        self.client_of(name, &request).await?;
        self.person_of(&request).await?;
        Ok(request)
    }

    async fn conclude(
        &self,
        name: &Name,
        approver: &Approver,
        decision: Decision,
        part: &Part,
    ) -> Result<(), No> {
        let edited = self.requests.edit(name, |request| match decision {
            Decision::Approve => {
                request.approve(Approval::by(approver), now().seconds())?;
                Ok(part.narrow(request)?)
            }
            Decision::Reject => Ok::<_, No>(request.reject(now().seconds())?),
        });
        let ((), request) = edited.await?.ok_or(No::Unknown)??;
        tracing::info!(
            request = name.handle(),
            client = request.client_id,
            ?decision,
            "a person decided"
        );
        self.open.remove(name);
        self.terminals.withdraw(&approver.sub, name);
        self.tell_client(name, &request);
        Ok(())
    }

    /// Returns the client of a request, if it still is what it was when it asked. Otherwise the request is dropped: it fails
    /// closed (C-223, C-229, C-362).
    pub(super) async fn client_of(&self, name: &Name, request: &Request) -> Result<Arc<Client>, No> {
        let found = self.clients.find(&request.client_id).await.map_err(|error| {
            tracing::error!(error = chain(&error), "a client could not be read");
            No::Unavailable
        })?;
        if let Some(client) = found.filter(|client| is_unchanged(client, request)) {
            return Ok(client);
        }
        self.open.remove(name);
        if let Some(sub) = &request.sub {
            self.terminals.withdraw(sub, name);
        }
        self.requests.forget(name).await?;
        Err(No::ClientGone)
    }

    /// The person of a request is still one of ours (C-267); a request for nobody (C-190) goes on.
    pub(super) async fn person_of(&self, request: &Request) -> Result<(), No> {
        match &request.sub {
            Some(sub) if !self.is_known(sub).await? => Err(No::PersonGone),
            _ => Ok(()),
        }
    }

    /// Whether a person is one of ours, and not disabled.
    pub(super) async fn is_known(&self, sub: &str) -> Result<bool, No> {
        let user = self.users.get(sub).await?;
        Ok(user.is_some_and(|user| !user.disabled))
    }
}

impl Approval {
    fn by(approver: &Approver) -> Self {
        Self {
            auth_time: approver.auth_time,
            acr: approver.acr.clone(),
            amr: approver.amr.clone(),
            grant: None,
            may_poll: false,
        }
    }
}

/// Whether the tokens of a request may still go where its client said.
fn is_unchanged(client: &Client, request: &Request) -> bool {
    let is_same_mode = client.metadata.backchannel_token_delivery_mode == Some(request.mode);
    let registered = client.metadata.backchannel_client_notification_endpoint.as_ref();
    let is_same_place = match &request.notification {
        Some(notification) if request.mode == Mode::Push => {
            let may_differ = client.metadata.terms.client_notification_uri;
            registered.is_some_and(|url| {
                *url == notification.endpoint || may_differ && url.origin() == notification.endpoint.origin()
            })
        }
        _ => true,
    };
    request.is_of(client) && !client.disabled && is_same_mode && is_same_place
}

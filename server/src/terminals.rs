//! Where device sessions and backchannel authentication meet (C-211): neither knows the other.

use std::sync::{Arc, OnceLock};

use device_proto::approval::{AnswerAt, Approval, ApprovalId};
use device_proto::ask;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::ciba::{self, Ciba, Decision, Name, No, Pending, Terminals};
use crate::device::{Approver, Sessions, SignedIn, Undecided};

/// Both sides, each of which is made after the other was told of it.
#[derive(Clone, Default)]
pub(crate) struct Meeting(Arc<Sides>);

#[derive(Default)]
struct Sides {
    sessions: OnceLock<Sessions>,
    ciba: OnceLock<Ciba>,
}

impl Meeting {
    /// Lets both sides know each other.
    pub(crate) fn introduce(&self, sessions: Sessions, ciba: Ciba) {
        let _ = self.0.sessions.set(sessions);
        let _ = self.0.ciba.set(ciba);
    }
}

impl Terminals for Meeting {
    fn are_there(&self, sub: &str) -> bool {
        let sessions = self.0.sessions.get();
        sessions.is_some_and(|sessions| sessions.has_device_of(sub))
    }

    fn show(&self, pending: &Pending) {
        if let Some(sessions) = self.0.sessions.get() {
            sessions.show_approval(&pending.sub, &approval(pending));
        }
    }

    fn withdraw(&self, sub: &str, name: &Name) {
        if let Some(sessions) = self.0.sessions.get() {
            sessions.withdraw_approval(sub, &ApprovalId::of_hash(name.hash()));
        }
    }
}

impl Approver for Meeting {
    fn pending<'a>(&'a self, person: &'a str) -> BoxFuture<'a, Vec<Approval>> {
        async move {
            let Some(ciba) = self.0.ciba.get() else {
                return Vec::new();
            };
            ciba.pending(person).await.iter().map(approval).collect()
        }
        .boxed()
    }

    fn decide<'a>(
        &'a self,
        person: &'a SignedIn,
        request: &'a ApprovalId,
        decision: ask::Decision,
    ) -> BoxFuture<'a, Result<(), Undecided>> {
        async move {
            let ciba = self.0.ciba.get().ok_or(Undecided::NotPending)?;
            let name = Name::parse(request.as_str()).ok_or(Undecided::NotPending)?;
            let approver = ciba::Approver {
                sub: person.sub.clone(),
                auth_time: person.auth_time,
                proved_at: None,
                acr: None,
                amr: Vec::new(),
            };
            let decision = match decision {
                ask::Decision::Approve => Decision::Approve,
                ask::Decision::Deny => Decision::Reject,
            };
            ciba.decide_in_terminal(&name, &approver, decision)
                .await
                .map_err(undecided)
        }
        .boxed()
    }
}

fn approval(pending: &Pending) -> Approval {
    let question = &pending.question;
    Approval {
        request: ApprovalId::of_hash(pending.name.hash()),
        client_name: question.client_name.clone(),
        client_uri: question.client_uri.as_ref().map(ToString::to_string),
        client_vouched: question.client_vouched,
        scope: question.scope.clone(),
        resources: question.resources.clone(),
        binding_message: question.binding_message.clone(),
        authorization_details: question.authorization_details.as_ref().map(ToString::to_string),
        agent: question.agent_claims.as_ref().map(ToString::to_string),
        created_at: question.created_at,
        expires_at: question.expires_at,
        url: pending.approval_url.to_string(),
        answer: match pending.needs_browser {
            true => AnswerAt::Browser,
            false => AnswerAt::Terminal,
        },
    }
}

fn undecided(no: No) -> Undecided {
    match no {
        No::Unknown | No::PersonGone | No::Foreign | No::Decided | No::ClientGone => Undecided::NotPending,
        No::Expired => Undecided::Expired,
        No::NeedsFreshLogin => Undecided::NeedsBrowser,
        // The last two are for a person who grants a part, which a terminal does not offer.
        No::Unavailable | No::NotItsScope | No::NotItsDetails => Undecided::Unavailable,
    }
}

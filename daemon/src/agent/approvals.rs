//! The requests that wait for the person's decision, over all logins (C-211): listed, found by a name, decided.

use std::collections::BTreeMap;

use device_proto::approval::ApprovalId;
use device_proto::ask::Decision;
use futures_util::future::join_all;
use ipc_proto::{AnswerAt, Approval, Decided, ErrorCode, Event, Failure, MIN_REQUEST_PREFIX, ProfileName};
use tracing::info;

use super::Agent;
use super::refusal::unknown;
use crate::session::{Handle, needs_browser};

impl Agent {
    /// Returns the requests of a login, or of all, each as the event that told of it.
    pub(crate) async fn approvals(&self, profile: Option<&ProfileName>) -> Result<Vec<Event>, Failure> {
        let sessions = self.asked(profile).await?;
        let told = sessions.iter().flat_map(|session| {
            let approvals = session.approvals().into_iter();
            approvals.map(|approval| Event::Approval {
                profile: session.purpose().profile.clone(),
                approval: Box::new(approval),
            })
        });
        Ok(told.collect())
    }

    /// Gives the server the person's decision about the request whose name begins so.
    pub(crate) async fn decide(
        &self,
        name: &str,
        decision: Decision,
        profile: Option<&ProfileName>,
    ) -> Result<Decided, Failure> {
        let sessions = self.asked(profile).await?;
        let (session, approval) = find(&sessions, name)?;
        let profile = session.purpose().profile.clone();
        let has_url = |failure: Failure| match failure.code {
            ErrorCode::NeedsBrowser => failure.url(&approval.url),
            _ => failure,
        };
        if approval.answer == AnswerAt::Browser && decision == Decision::Approve {
            return Err(has_url(needs_browser()));
        }
        let request: ApprovalId = approval.request.parse().map_err(|_| none())?;
        session.decide(request, decision).await.map_err(has_url)?;
        info!(%profile, request = approval.handle(), ?decision, "a request was decided");
        Ok(Decided {
            profile,
            request: approval.request,
        })
    }

    async fn asked(&self, profile: Option<&ProfileName>) -> Result<Vec<Handle>, Failure> {
        let sessions = match profile {
            Some(profile) => vec![self.find(profile).await?],
            None => self.all().await,
        };
        if sessions.is_empty() {
            return Err(unknown(&ProfileName::default(), &[]));
        }
        join_all(sessions.iter().map(Handle::link_settled)).await;
        Ok(sessions)
    }
}

/// Returns the one request whose name begins so. Two logins of the same person have the same requests.
fn find<'a>(sessions: &'a [Handle], name: &str) -> Result<(&'a Handle, Approval), Failure> {
    if name.len() < MIN_REQUEST_PREFIX {
        let message = format!("a request is named by its first {MIN_REQUEST_PREFIX} characters at least");
        return Err(Failure::new(ErrorCode::BadRequest, message));
    }
    let mut found = BTreeMap::new();
    for session in sessions {
        for approval in session.approvals() {
            if approval.request.starts_with(name) {
                found
                    .entry(approval.request.clone())
                    .or_insert((session, approval));
            }
        }
    }
    match found.len() {
        0 => Err(none()),
        1 => found.into_values().next().ok_or_else(none),
        _ => Err(ambiguous()),
    }
}

fn none() -> Failure {
    Failure::new(
        ErrorCode::UnknownRequest,
        "no request of this name waits for a decision",
    )
    .hint("ciba approvals")
}

fn ambiguous() -> Failure {
    Failure::new(
        ErrorCode::AmbiguousRequest,
        "several requests begin so: type more of the name",
    )
    .hint("ciba approvals")
}

//! `approvals` and `decide`: the requests that wait for the person's decision, as lines.

use std::collections::HashSet;

use device_proto::ask::Decision;
use ipc_proto::{Event, ProfileName};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::call::Call;
use super::dispatch::{Done, leaving, missed};

impl Call<'_> {
    /// Tells of those that wait, and with `watch` of all that come and go until the client hangs up.
    pub(super) async fn approvals(&self, profile: Option<ProfileName>, watch: bool) {
        let agent = &self.context.agent;
        // From before the list on: what comes meanwhile is in one of both, or in both.
        let events = agent.watch();
        let waiting = match agent.approvals(profile.as_ref()).await {
            Ok(waiting) => waiting,
            Err(failure) => return self.reply.no(&failure).await,
        };
        let mut told = HashSet::new();
        for event in waiting {
            self.tell(&event, &mut told).await;
        }
        if watch {
            self.follow(events, profile.as_ref(), told).await;
        } else {
            self.reply.yes(&Done {}).await;
        }
    }

    async fn follow(
        &self,
        mut events: Receiver<Event>,
        profile: Option<&ProfileName>,
        mut told: HashSet<Named>,
    ) {
        let failure = loop {
            match events.recv().await {
                Ok(event) if is_of(&event, profile) => self.tell(&event, &mut told).await,
                Ok(_) => {}
                Err(RecvError::Closed) => break leaving(),
                Err(RecvError::Lagged(_)) => break missed(),
            }
        };
        self.reply.no(&failure).await;
    }

    /// Tells of a request that comes or goes, unless that was told.
    async fn tell(&self, event: &Event, told: &mut HashSet<Named>) {
        let is_news = match event {
            Event::Approval { profile, approval } => told.insert((profile.clone(), approval.request.clone())),
            Event::ApprovalGone { profile, request } => told.remove(&(profile.clone(), request.clone())),
            _ => false,
        };
        if is_news {
            self.reply.event(event).await;
        }
    }

    pub(super) async fn decide(&self, request: &str, approve: bool, profile: Option<&ProfileName>) {
        let decision = if approve {
            Decision::Approve
        } else {
            Decision::Deny
        };
        let decided = self.context.agent.decide(request, decision, profile).await;
        self.reply.result(&decided).await;
    }
}

/// A request at the server of a login.
type Named = (ProfileName, String);

/// Whether an event is of the login that is asked for, or of any.
fn is_of(event: &Event, wanted: Option<&ProfileName>) -> bool {
    match event {
        Event::Approval { profile, .. } | Event::ApprovalGone { profile, .. } => {
            wanted.is_none_or(|wanted| wanted == profile)
        }
        _ => false,
    }
}

//! The requests that wait for the person's decision at one server (C-211), as its doc shows them. In memory alone. Pure.

use std::collections::BTreeMap;

use device_proto::approval::{self, ApprovalId, MAX_APPROVALS};
use ipc_proto::{AnswerAt, Approval};

/// The requests of one login.
#[derive(Default)]
pub(crate) struct Approvals(BTreeMap<ApprovalId, Waiting>);

struct Waiting {
    approval: Approval,
    /// Whether the doc of this connection has it. A new connection begins with an empty doc (D-034).
    is_confirmed: bool,
}

impl Approvals {
    /// Takes in what the doc shows. Returns the request if it is news; one that has ended, or is beyond
    /// [`MAX_APPROVALS`], is not taken in.
    pub(super) fn arrive(&mut self, approval: approval::Approval, now: u64) -> Option<&Approval> {
        let is_new = !self.0.contains_key(&approval.request);
        if approval.expires_at <= now || is_new && self.0.len() >= MAX_APPROVALS {
            return None;
        }
        let request = approval.request.clone();
        let waiting = Waiting {
            approval: shown(approval),
            is_confirmed: true,
        };
        self.0.insert(request.clone(), waiting);
        is_new.then(|| &self.0[&request].approval)
    }

    /// A request was taken off the doc. Returns whether it was there.
    pub(super) fn leave(&mut self, request: &ApprovalId) -> bool {
        self.0.remove(request).is_some()
    }

    /// A new connection begins.
    pub(super) fn connecting(&mut self) {
        for waiting in self.0.values_mut() {
            waiting.is_confirmed = false;
        }
    }

    /// The doc is here. Returns those that it has no more.
    pub(super) fn synced(&mut self) -> Vec<ApprovalId> {
        self.drop_all(|waiting| !waiting.is_confirmed)
    }

    /// Returns those that have ended at `now`, Unix seconds.
    pub(super) fn expire(&mut self, now: u64) -> Vec<ApprovalId> {
        self.drop_all(|waiting| waiting.approval.expires_at <= now)
    }

    /// The login is over. Returns all that there were.
    pub(super) fn clear(&mut self) -> Vec<ApprovalId> {
        self.drop_all(|_| true)
    }

    /// Returns when the next one ends, Unix seconds.
    pub(super) fn next_end(&self) -> Option<u64> {
        self.list().map(|approval| approval.expires_at).min()
    }

    /// Returns those that wait.
    pub(super) fn list(&self) -> impl Iterator<Item = &Approval> {
        self.0.values().map(|waiting| &waiting.approval)
    }

    fn drop_all(&mut self, mut goes: impl FnMut(&Waiting) -> bool) -> Vec<ApprovalId> {
        let gone = self.0.extract_if(.., |_, waiting| goes(waiting));
        gone.map(|(request, _)| request).collect()
    }
}

/// What clients of this daemon are shown of a request.
fn shown(approval: approval::Approval) -> Approval {
    Approval {
        request: approval.request.into(),
        client_name: approval.client_name,
        client_uri: approval.client_uri,
        client_vouched: approval.client_vouched,
        scope: approval.scope,
        resources: approval.resources,
        binding_message: approval.binding_message,
        authorization_details: approval.authorization_details,
        agent: approval.agent,
        created_at: approval.created_at,
        expires_at: approval.expires_at,
        url: approval.url,
        answer: match approval.answer {
            approval::AnswerAt::Terminal => AnswerAt::Terminal,
            approval::AnswerAt::Browser => AnswerAt::Browser,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: u8) -> ApprovalId {
        ApprovalId::of_hash(&[n; 32])
    }

    fn approval(n: u8, expires_at: u64) -> approval::Approval {
        approval::Approval {
            request: name(n),
            client_name: "Shop".into(),
            client_uri: None,
            client_vouched: false,
            scope: vec![],
            resources: vec![],
            binding_message: None,
            authorization_details: None,
            agent: None,
            created_at: 0,
            expires_at,
            url: "https://c".into(),
            answer: approval::AnswerAt::Terminal,
        }
    }

    fn names(approvals: &Approvals) -> Vec<&str> {
        approvals.list().map(|approval| &*approval.request).collect()
    }

    #[test]
    fn d_063_a_request_is_news_once() {
        let mut approvals = Approvals::default();
        assert!(approvals.arrive(approval(1, 9), 0).is_some());
        assert!(approvals.arrive(approval(1, 9), 0).is_none(), "the same");
        assert_eq!(names(&approvals), [name(1).as_str()]);
        assert!(approvals.leave(&name(1)) && !approvals.leave(&name(1)));
    }

    #[test]
    fn d_063_a_new_connection_tells_which_still_wait() {
        let mut approvals = Approvals::default();
        approvals.arrive(approval(1, 9), 0);
        approvals.arrive(approval(2, 9), 0);
        approvals.connecting();
        assert_eq!(names(&approvals).len(), 2, "until the doc is here");
        assert!(approvals.arrive(approval(2, 9), 0).is_none());
        assert_eq!(approvals.synced(), [name(1)]);
        assert_eq!(names(&approvals), [name(2).as_str()]);
        assert_eq!(approvals.clear(), [name(2)]);
    }

    #[test]
    fn d_064_what_has_ended_goes_by_the_clock_and_does_not_come() {
        let mut approvals = Approvals::default();
        approvals.arrive(approval(1, 9), 0);
        approvals.arrive(approval(2, 5), 0);
        assert_eq!(approvals.next_end(), Some(5));
        assert_eq!(approvals.expire(5), [name(2)]);
        assert_eq!(approvals.next_end(), Some(9));
        assert!(approvals.arrive(approval(3, 5), 5).is_none());
        assert_eq!(names(&approvals), [name(1).as_str()]);
    }

    #[test]
    fn d_064_a_server_cannot_fill_the_memory() {
        let mut approvals = Approvals::default();
        for n in 0..=255 {
            approvals.arrive(approval(n, 9), 0);
        }
        assert_eq!(names(&approvals).len(), MAX_APPROVALS);
    }
}

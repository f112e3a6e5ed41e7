//! The decisions that were given to the server and are not confirmed (D-065). Each is sent once: after a lost connection
//! nobody knows whether it counted, and a second one would be told that the request waits no longer. Pure.

use std::collections::BTreeMap;

use device_proto::approval::ApprovalId;
use device_proto::ask::{Ask, Decision};
use ipc_proto::{ErrorCode, Failure};
use tokio::time::Instant;

use super::flight::{DEADLINE, WaiterId};
use crate::oauth_error;

/// What an ask's id begins with. Those for tokens are numbers.
const ID: &str = "decision-";

/// The decisions under way.
#[derive(Default)]
pub(super) struct Decisions {
    last: u64,
    by_id: BTreeMap<String, Open>,
}

struct Open {
    request: ApprovalId,
    decision: Decision,
    waiter: WaiterId,
    due: Instant,
    is_sent: bool,
}

impl Decisions {
    /// A client decides.
    pub(super) fn add(&mut self, request: ApprovalId, decision: Decision, waiter: WaiterId, now: Instant) {
        self.last += 1;
        let open = Open {
            request,
            decision,
            waiter,
            due: now + DEADLINE,
            is_sent: false,
        };
        self.by_id.insert(format!("{ID}{}", self.last), open);
    }

    /// Returns what has to be sent, while the connection stands.
    pub(super) fn unsent(&mut self) -> Vec<Ask> {
        let unsent = self.by_id.iter_mut().filter(|(_, open)| !open.is_sent);
        let asks = unsent.map(|(id, open)| {
            open.is_sent = true;
            Ask::Decide {
                id: id.clone(),
                request: open.request.clone(),
                decision: open.decision,
            }
        });
        asks.collect()
    }

    /// Ends the one with this id. Returns its waiter.
    pub(super) fn answered(&mut self, id: &str) -> Option<WaiterId> {
        Some(self.by_id.remove(id)?.waiter)
    }

    /// The connection is gone. Returns the waiters of those that were sent.
    pub(super) fn connection_lost(&mut self) -> Vec<WaiterId> {
        self.end(|open| open.is_sent)
    }

    /// Returns the waiters whose deadline has passed.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<WaiterId> {
        self.end(|open| open.due <= now)
    }

    /// Ends all. Returns their waiters.
    pub(super) fn all(&mut self) -> Vec<WaiterId> {
        self.end(|_| true)
    }

    /// Returns when the next deadline passes.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.by_id.values().map(|open| open.due).min()
    }

    fn end(&mut self, mut ends: impl FnMut(&Open) -> bool) -> Vec<WaiterId> {
        let ended = self.by_id.extract_if(.., |_, open| ends(open));
        ended.map(|(_, open)| open.waiter).collect()
    }
}

/// Returns the server's no as a failure of ours.
pub(super) fn refused(error: &str, description: &str) -> Failure {
    match error {
        "invalid_request" => Failure::new(
            ErrorCode::RequestOver,
            "the request waits no longer: it was decided meanwhile",
        ),
        "expired_token" => Failure::new(ErrorCode::RequestOver, "the request has expired"),
        "login_required" => needs_browser(),
        _ => oauth_error::failure(error, description),
    }
}

/// Returns the failure of a request that is approved on its page alone.
pub(crate) fn needs_browser() -> Failure {
    Failure::new(
        ErrorCode::NeedsBrowser,
        "the server lets this request be approved in the browser alone",
    )
}

/// Returns the failure of a decision that was sent and not confirmed.
pub(super) fn unconfirmed(code: ErrorCode) -> Failure {
    Failure::new(
        code,
        "the server did not confirm the decision, which may count all the same",
    )
    .hint("ciba approvals, which shows whether the request still waits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: WaiterId = WaiterId(1);
    const TWO: WaiterId = WaiterId(2);

    fn request() -> ApprovalId {
        ApprovalId::of_hash(&[7; 32])
    }

    #[test]
    fn d_065_a_decision_is_sent_once() {
        let (mut decisions, now) = (Decisions::default(), Instant::now());
        decisions.add(request(), Decision::Deny, ONE, now);
        let asks = decisions.unsent();
        let expected = Ask::Decide {
            id: "decision-1".into(),
            request: request(),
            decision: Decision::Deny,
        };
        assert_eq!(asks, [expected]);
        assert_eq!(decisions.unsent(), []);
        decisions.add(request(), Decision::Approve, TWO, now);
        assert_eq!(decisions.connection_lost(), [ONE], "the other was not sent");
        assert_eq!(decisions.unsent().len(), 1);
        assert_eq!(decisions.answered("decision-2"), Some(TWO));
        assert_eq!(decisions.answered("decision-2"), None);
    }

    #[test]
    fn d_065_a_decision_has_a_deadline() {
        let (mut decisions, now) = (Decisions::default(), Instant::now());
        assert_eq!(decisions.next_due(), None);
        decisions.add(request(), Decision::Deny, ONE, now);
        assert_eq!(decisions.next_due(), Some(now + DEADLINE));
        assert_eq!(decisions.overdue(now), []);
        assert_eq!(decisions.overdue(now + DEADLINE), [ONE]);
        assert_eq!(decisions.all(), []);
    }

    #[test]
    fn d_065_a_servers_no_has_a_word_of_ours() {
        for (error, code) in [
            ("invalid_request", ErrorCode::RequestOver),
            ("expired_token", ErrorCode::RequestOver),
            ("login_required", ErrorCode::NeedsBrowser),
            ("temporarily_unavailable", ErrorCode::ServerUnreachable),
            ("slow_down", ErrorCode::Busy),
            ("from 2030", ErrorCode::Internal),
        ] {
            assert_eq!(refused(error, "").code, code, "{error}");
        }
    }
}

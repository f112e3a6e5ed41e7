//! What decides about the requests that devices are shown (C-211). The OpenID provider implements it; a device session knows
//! neither its requests nor its clients.

use device_proto::approval::{Approval, ApprovalId};
use device_proto::ask::Decision;
use futures_util::future::BoxFuture;
use thiserror::Error;

/// The requests that wait for a person's decision. A person is named by the `sub` of the upstream provider.
pub(crate) trait Approver: Send + Sync {
    /// Returns the person's requests that wait now. It is asked when a device of theirs connects; what comes later is told
    /// by [`Sessions::show_approval`](super::Sessions::show_approval).
    fn pending<'a>(&'a self, person: &'a str) -> BoxFuture<'a, Vec<Approval>>;

    /// Takes the person's decision about one of their requests. The device has proven that the person signed in on it; whether
    /// that is enough for this request is the rule of the implementation.
    fn decide<'a>(
        &'a self,
        person: &'a SignedIn,
        request: &'a ApprovalId,
        decision: Decision,
    ) -> BoxFuture<'a, Result<(), Undecided>>;
}

/// The person whose device it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedIn {
    /// The `sub` of the upstream provider.
    pub(crate) sub: String,
    /// When they last signed in, Unix seconds.
    pub(crate) auth_time: u64,
}

/// Why a decision does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Undecided {
    /// No such request of this person waits: it never was, it is another person's, or it was decided.
    #[error("no such request waits for a decision")]
    NotPending,
    /// Its time is over.
    #[error("the request has expired")]
    Expired,
    /// It is approved after a login in the browser alone.
    #[error("this request is approved in the browser")]
    NeedsBrowser,
    /// The decision could not be kept.
    #[error("the server cannot keep the decision now")]
    Unavailable,
}

impl Undecided {
    /// Returns the error code on the wire (D-065).
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::NotPending => "invalid_request",
            Self::Expired => "expired_token",
            Self::NeedsBrowser => "login_required",
            Self::Unavailable => "temporarily_unavailable",
        }
    }

    /// Whether the request waits no longer.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::NotPending | Self::Expired)
    }
}

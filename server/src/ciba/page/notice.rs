//! How the approval page ends, or why it asks nothing. The words are in the template; nothing here decides anything.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::page::{Mark, respond};

/// What the person is told.
#[derive(Template)]
#[template(path = "approval_notice.html")]
pub(super) enum Notice {
    /// The client gets what it asked for.
    Approved { client_name: String },
    /// The client gets nothing.
    Rejected { client_name: String },
    /// The request was approved before.
    WasApproved,
    /// The request was rejected before.
    WasRejected,
    /// Another decision came first.
    Decided,
    /// The request is for another person.
    Foreign {
        /// Who is signed in.
        person: String,
        /// Where another person signs in.
        other_person: String,
    },
    /// The form came from a page of another session.
    Stale {
        /// The page for the request.
        page: String,
    },
    /// There was no decision in time.
    Expired,
    /// The client is gone or disabled.
    ClientGone,
    /// There is no such request, or it is over.
    Unknown,
    /// This server failed.
    Trouble,
}

impl Notice {
    fn status(&self) -> StatusCode {
        match self {
            Self::Approved { .. } | Self::Rejected { .. } | Self::WasApproved | Self::WasRejected => {
                StatusCode::OK
            }
            Self::Decided => StatusCode::CONFLICT,
            Self::Foreign { .. } | Self::Stale { .. } => StatusCode::FORBIDDEN,
            Self::Expired | Self::ClientGone => StatusCode::GONE,
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Trouble => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the word by which a program tells the notices apart; the titles may change.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Approved { .. } => "approved",
            Self::Rejected { .. } => "denied",
            Self::WasApproved => "was-approved",
            Self::WasRejected => "was-denied",
            Self::Decided => "decided",
            Self::Foreign { .. } => "foreign",
            Self::Stale { .. } => "stale",
            Self::Expired => "expired",
            Self::ClientGone => "client-gone",
            Self::Unknown => "unknown",
            Self::Trouble => "trouble",
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::Approved { .. } => "You approved it",
            Self::Rejected { .. } => "You denied it",
            Self::WasApproved => "This was approved before",
            Self::WasRejected => "This was denied before",
            Self::Decided => "This has been answered",
            Self::Foreign { .. } => "This is for another person",
            Self::Stale { .. } => "This page is too old",
            Self::Expired => "The time to answer is over",
            Self::ClientGone => "This can no longer be approved",
            Self::Unknown => "There is nothing to approve here",
            Self::Trouble => "Something went wrong",
        }
    }

    fn mark(&self) -> Mark {
        match self {
            Self::Approved { .. } | Self::Rejected { .. } | Self::WasApproved | Self::WasRejected => {
                Mark::Check
            }
            Self::Decided | Self::Stale { .. } | Self::Expired => Mark::Clock,
            Self::Foreign { .. } | Self::ClientGone | Self::Unknown | Self::Trouble => Mark::Cross,
        }
    }
}

impl IntoResponse for Notice {
    fn into_response(self) -> Response {
        respond(self.status(), &self)
    }
}

//! What a person sees when signing in to a browser session, or out of it, ends on a page. The words are in the template;
//! nothing here decides anything.

use std::time::Duration;

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::page::{Mark, respond, retry_after};

/// How a sign-in or a sign-out ended.
#[derive(Template)]
#[template(path = "ended.html")]
pub(super) enum Ended {
    /// The browser's session is over.
    SignedOut,
    /// A form came from a page of another session.
    Stale,
    /// The provider, or the person, said no.
    Refused {
        /// Why: a whole sentence without technical words.
        reason_plain: &'static str,
    },
    /// The person was to prove anew who they are, and the provider does not say that they did.
    NotAnew,
    /// The provider does not answer as it should.
    ProviderDown,
    /// This server failed.
    ServerTrouble,
    /// Too many sign-ins from this address.
    TooMany {
        /// When there may be one more.
        wait: Duration,
    },
    /// No such sign-in.
    NotFound,
}

impl Ended {
    fn status(&self) -> StatusCode {
        match self {
            Self::SignedOut => StatusCode::OK,
            Self::Stale | Self::Refused { .. } | Self::NotAnew => StatusCode::FORBIDDEN,
            Self::ProviderDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::ServerTrouble => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }

    /// Returns the word by which a program tells these pages apart; the titles may change.
    fn outcome(&self) -> &'static str {
        match self {
            Self::SignedOut => "signed-out",
            Self::Stale => "stale",
            Self::Refused { .. } => "refused",
            Self::NotAnew => "not-anew",
            Self::ProviderDown => "provider-down",
            Self::ServerTrouble => "trouble",
            Self::TooMany { .. } => "too-many",
            Self::NotFound => "not-found",
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::SignedOut => "You are signed out",
            Self::Stale => "This page is too old",
            Self::Refused { .. } => "You were not signed in",
            Self::NotAnew => "You were not asked to sign in again",
            Self::ProviderDown => "Signing in is not possible right now",
            Self::ServerTrouble => "Something went wrong",
            Self::TooMany { .. } => "Too many sign-ins from here",
            Self::NotFound => "There is no such page",
        }
    }

    fn mark(&self) -> Mark {
        match self {
            Self::SignedOut => Mark::Check,
            Self::Stale | Self::TooMany { .. } => Mark::Clock,
            _ => Mark::Cross,
        }
    }
}

impl IntoResponse for Ended {
    fn into_response(self) -> Response {
        let response = respond(self.status(), &self);
        match self {
            Self::TooMany { wait } => retry_after(response, wait),
            _ => response,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_233_every_end_has_its_outcome_and_status() {
        let wait = Duration::from_secs(1);
        for (ended, status, outcome) in [
            (Ended::SignedOut, 200, "signed-out"),
            (Ended::Stale, 403, "stale"),
            (Ended::Refused { reason_plain: "No." }, 403, "refused"),
            (Ended::NotAnew, 403, "not-anew"),
            (Ended::ProviderDown, 503, "provider-down"),
            (Ended::ServerTrouble, 500, "trouble"),
            (Ended::TooMany { wait }, 429, "too-many"),
            (Ended::NotFound, 404, "not-found"),
        ] {
            let html = ended.render().unwrap();
            assert!(html.contains(&format!(r#"data-outcome="{outcome}""#)), "{html}");
            assert!(html.contains(&format!("<h1>{}</h1>", ended.title())), "{html}");
            let response = ended.into_response();
            assert_eq!(response.status(), status, "{outcome}");
            assert_eq!(response.headers().contains_key("retry-after"), status == 429);
        }
    }
}

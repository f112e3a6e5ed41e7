//! What a person sees at login: the page that asks whether it was them, and the page that says how it ended.
//! The words are in the templates; nothing here decides anything.

use std::time::Duration;

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::page::{Mark, respond, retry_after};

/// Asks the person to compare the code with the terminal's before going on (D-020; RFC 8628 §5.4).
#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct Confirm<'a> {
    /// What the device calls itself; nobody has checked it.
    pub(super) device_name: Option<&'a str>,
    /// Where the request came from.
    pub(super) address: &'a str,
    /// How long ago, as people say it: "12 seconds ago".
    pub(super) age: String,
    /// The code, as the terminal shows it.
    pub(super) user_code: &'a str,
    /// Where "Yes" leads. Ours: it is not checked for its scheme.
    pub(super) continue_url: &'a str,
}

/// How a login ended, or why it cannot go on (D-022, D-023).
#[derive(Template)]
#[template(path = "notice.html")]
pub(super) enum Notice {
    /// The terminal has its token.
    SignedIn {
        /// Who signed in, as the provider calls them.
        subject: String,
    },
    /// Nobody signed in in time (D-005).
    Expired,
    /// The provider sent the person back a second time (D-022).
    AlreadyUsed,
    /// The device went away before the login was done (D-022).
    NoLongerWaiting,
    /// The provider, or the person, said no (D-023).
    Refused {
        /// Why: a whole sentence without technical words.
        reason_plain: String,
    },
    /// The provider does not answer (D-023).
    ProviderDown,
    /// This server failed.
    ServerTrouble,
    /// Too many logins from this address.
    TooMany {
        /// When there may be one more.
        wait: Duration,
    },
    /// No such login.
    NotFound,
}

impl Confirm<'_> {
    /// Returns the code as a screen reader is to say it, letter by letter.
    fn spelled_code(&self) -> String {
        let names = self
            .user_code
            .chars()
            .map(|c| if c == '-' { "dash".into() } else { c.to_string() });
        names.collect::<Vec<_>>().join(" ")
    }
}

impl Notice {
    fn status(&self) -> StatusCode {
        match self {
            Self::SignedIn { .. } => StatusCode::OK,
            Self::Expired | Self::NoLongerWaiting => StatusCode::GONE,
            Self::AlreadyUsed => StatusCode::CONFLICT,
            Self::Refused { .. } => StatusCode::FORBIDDEN,
            Self::ProviderDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::ServerTrouble => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }

    /// Returns the word by which a program tells the notices apart; the titles may change.
    fn outcome(&self) -> &'static str {
        match self {
            Self::SignedIn { .. } => "signed-in",
            Self::Expired => "expired",
            Self::AlreadyUsed => "already-used",
            Self::NoLongerWaiting => "no-longer-waiting",
            Self::Refused { .. } => "refused",
            Self::ProviderDown => "provider-down",
            Self::ServerTrouble => "trouble",
            Self::TooMany { .. } => "too-many",
            Self::NotFound => "not-found",
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::SignedIn { .. } => "You are signed in",
            Self::Expired => "This link is too old",
            Self::AlreadyUsed => "This link has been used",
            Self::NoLongerWaiting => "Your terminal is no longer waiting",
            Self::Refused { .. } => "You were not signed in",
            Self::ProviderDown => "Signing in is not possible right now",
            Self::ServerTrouble => "Something went wrong",
            Self::TooMany { .. } => "Too many sign-ins from here",
            Self::NotFound => "There is no such page",
        }
    }

    fn mark(&self) -> Mark {
        match self {
            Self::SignedIn { .. } => Mark::Check,
            Self::Expired | Self::AlreadyUsed | Self::NoLongerWaiting | Self::TooMany { .. } => Mark::Clock,
            Self::Refused { .. } | Self::ProviderDown | Self::ServerTrouble | Self::NotFound => Mark::Cross,
        }
    }
}

impl IntoResponse for Confirm<'_> {
    fn into_response(self) -> Response {
        respond(StatusCode::OK, &self)
    }
}

impl IntoResponse for Notice {
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
    use http::header::CONTENT_TYPE;

    use http::header::CACHE_CONTROL;

    use super::*;

    const HOSTILE: &str = r#"<script>alert('x')</script>"><img src=//evil.test style="x">"#;

    const CONFIRM: Confirm<'_> = Confirm {
        device_name: Some("laptop"),
        address: "192.0.2.7",
        age: String::new(),
        user_code: "BCDF-GHJK",
        continue_url: "/login/abc/continue?a=1&b=2",
    };

    fn notices(text: &str) -> [(Notice, u16, &'static str); 8] {
        [
            (Notice::SignedIn { subject: text.into() }, 200, "signed-in"),
            (Notice::Expired, 410, "expired"),
            (Notice::AlreadyUsed, 409, "already-used"),
            (Notice::NoLongerWaiting, 410, "no-longer-waiting"),
            (
                Notice::Refused {
                    reason_plain: text.into(),
                },
                403,
                "refused",
            ),
            (Notice::ProviderDown, 503, "provider-down"),
            (Notice::ServerTrouble, 500, "trouble"),
            (Notice::NotFound, 404, "not-found"),
        ]
    }

    /// The policy would stop these; the pages do not rely on it.
    fn assert_inert(html: &str) {
        let tags: String = html
            .split_inclusive('>')
            .filter_map(|part| part.rfind('<').map(|at| &part[at..]))
            .collect();
        for forbidden in [
            "<script", "<style", "<img", "<iframe", "<form", "style=", "//", " on",
        ] {
            assert!(!tags.contains(forbidden), "{forbidden} in a tag of {html}");
        }
    }

    #[test]
    fn d_020_the_page_says_who_asks_from_where_since_when_and_shows_the_code() {
        let html = Confirm {
            age: "12 seconds ago".into(),
            ..CONFIRM
        }
        .render()
        .unwrap();
        for shown in [
            "<bdi>laptop</bdi>",
            "<bdi>192.0.2.7</bdi>",
            "12 seconds ago",
            ">BCDF-GHJK<",
        ] {
            assert!(html.contains(shown), "no {shown} in {html}");
        }
        assert!(html.contains(r#"aria-label="B C D F dash G H J K""#), "{html}");
        assert!(
            html.contains(r#"id="continue" class="button" href="/login/abc/continue?a=1&#38;b=2""#),
            "{html}"
        );
        assert_inert(&html);
    }

    #[test]
    fn d_020_a_device_without_a_name_is_said_to_have_none() {
        let html = Confirm {
            device_name: None,
            ..CONFIRM
        }
        .render()
        .unwrap();
        assert!(html.contains("did not say"), "{html}");
    }

    #[test]
    fn d_020_a_hostile_device_name_is_only_text() {
        let page = Confirm {
            device_name: Some(HOSTILE),
            address: HOSTILE,
            user_code: HOSTILE,
            ..CONFIRM
        };
        let html = page.render().unwrap();
        assert!(html.contains("&#60;script&#62;"), "{html}");
        assert_inert(&html);
    }

    #[test]
    fn d_023_every_notice_has_its_outcome_and_status() {
        for (notice, status, outcome) in notices("alice") {
            let html = notice.render().unwrap();
            assert!(
                html.contains(&format!(r#"id="outcome" data-outcome="{outcome}""#)),
                "{html}"
            );
            assert!(html.contains(&format!("<h1>{}</h1>", notice.title())), "{html}");
            assert_inert(&html);
            assert_eq!(notice.into_response().status(), status, "{outcome}");
        }
    }

    #[test]
    fn d_023_what_the_provider_says_is_only_text() {
        for (notice, _, outcome) in notices(HOSTILE) {
            let html = notice.render().unwrap();
            assert_eq!(
                html.contains("&#60;script&#62;"),
                ["signed-in", "refused"].contains(&outcome),
                "{html}"
            );
            assert_inert(&html);
        }
    }

    #[test]
    fn pages_are_html_that_nobody_keeps() {
        for response in [CONFIRM.into_response(), Notice::NotFound.into_response()] {
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        }
    }

    #[test]
    fn the_style_sheet_fetches_nothing() {
        let style = include_str!("../../templates/style.css");
        assert!(!style.contains("url(") && !style.contains("@import"));
    }
}

//! The page as HTML, and who must sign in first.

use askama::Template as _;
use axum::response::IntoResponse as _;
use serde_json::json;
use url::Url;

use super::ask::Ask;
use super::notice::Notice;
use super::unproved;
use crate::browser::{BrowserSession, Person, SignIn};
use crate::ciba::decide::{Shown, Status};
use crate::ciba::question::Question;

const HOSTILE: &str = "<script>alert('x')</script>\"><img src=//evil.test style=\"x\">\u{202e}";

fn session() -> BrowserSession {
    BrowserSession {
        person: Person {
            sub: "a".into(),
            name: "Alice".into(),
            auth_time: 100,
            is_auth_time_said: true,
            acr: Some("pwd".into()),
            amr: Vec::new(),
        },
        began: 100,
        form_token: "the-token".into(),
    }
}

fn question() -> Question {
    Question {
        client_name: "Checkout".into(),
        client_uri: Some(Url::parse("https://shop.example/about").unwrap()),
        client_vouched: true,
        scope: ["openid", "email", "payments:write"].map(String::from).to_vec(),
        resources: vec!["https://api.example/".into()],
        binding_message: Some("Pay 12.50 EUR to ACME, code 7HK2".into()),
        authorization_details: Some(json!([{
            "type": "payment_initiation", "instructedAmount": { "currency": "EUR", "amount": "12.50" },
            "creditor": { "name": "ACME GmbH", "iban": "DE02100100109307118603" },
        }])),
        agent_claims: Some(json!({ "agent": { "model": "shopper", "run": "2026-11-22/17" } })),
        created_at: 200,
        expires_at: 500,
    }
}

fn shown() -> Shown {
    Shown {
        sub: Some("a".into()),
        question: question(),
        acr_values: Vec::new(),
        status: Status::Pending,
        needs_fresh_login: false,
    }
}

fn html(question: &Question, session: &BrowserSession) -> String {
    Ask::of(question, session, ("/ciba/approve", "the-id"), 260)
        .render()
        .unwrap()
}

/// The policy would stop these; the pages do not rely on it.
fn assert_inert(html: &str) {
    let tags: String = html
        .split_inclusive('>')
        .filter_map(|part| part.rfind('<').map(|at| &part[at..]))
        .collect();
    for forbidden in ["<script", "<style", "<img", "<iframe", "style=", "//", " on"] {
        assert!(!tags.contains(forbidden), "{forbidden} in a tag of {html}");
    }
    assert!(!html.contains('\u{202e}'), "{html}");
}

#[test]
fn c_233_the_page_says_who_asks_for_what_and_how_long_there_is() {
    let html = html(&question(), &session());
    for said in [
        "<bdi>Checkout</bdi> asks",
        "<p class=\"host\"><bdi>shop.example</bdi></p>",
        "Pay 12.50 EUR to ACME, code 7HK2",
        "Know who you are",
        "Read your e-mail address",
        "<bdi>payments:write</bdi>",
        "<bdi>https://api.example/</bdi>",
        "<bdi>payment_initiation</bdi>",
        r#"<div class="in1"><dt><bdi>amount</bdi></dt><dd><bdi>12.50</bdi></dd></div>"#,
        "<bdi>Alice</bdi>",
        "<dd>4 minutes</dd>",
        r#"http-equiv="refresh" content="241""#,
    ] {
        assert!(html.contains(said), "no {said} in {html}");
    }
    assert_inert(&html);
}

#[test]
fn c_231_the_form_carries_the_request_the_token_and_one_of_two_answers() {
    let html = html(&question(), &session());
    for part in [
        r#"method="post" action="/ciba/approve""#,
        r#"name="auth_req_id" value="the-id""#,
        r#"name="form_token" value="the-token""#,
        r#"name="decision" value="approve""#,
        r#"name="decision" value="deny""#,
        r#"href="/login?to=%2Fciba%2Fapprove%3Fauth_req_id%3Dthe-id&#38;fresh=true""#,
    ] {
        assert!(html.contains(part), "no {part} in {html}");
    }
}

#[test]
fn c_113_what_the_client_says_of_its_agent_is_labelled_as_unchecked() {
    let page = html(&question(), &session());
    let claims = page
        .split_once("id=\"agent-claims\"")
        .unwrap()
        .1
        .split_once("</section>")
        .unwrap()
        .0;
    assert!(
        claims.contains("has not checked it") && claims.contains("shopper"),
        "{claims}"
    );
    let without = Question {
        agent_claims: None,
        ..question()
    };
    assert!(!html(&without, &session()).contains("agent-claims"));
}

#[test]
fn c_233_the_page_of_a_client_that_registered_itself_is_its_own_statement() {
    let registered = Question {
        client_vouched: false,
        ..question()
    };
    let said = "<p class=\"host\">says of itself: <bdi>shop.example</bdi></p>";
    assert!(html(&registered, &session()).contains(said));
}

#[test]
fn c_105_a_message_is_shown_unchanged_and_a_name_hides_nothing() {
    let question = Question {
        client_name: "Shop\u{200d}\u{e0041}".into(),
        binding_message: Some("Pay 👩\u{200d}👧 5 €".into()),
        ..question()
    };
    let html = html(&question, &session());
    assert!(html.contains("<bdi>Pay 👩\u{200d}👧 5 €</bdi>"), "{html}");
    assert!(html.contains("<bdi>Shop\u{fffd}\u{fffd}</bdi> asks"), "{html}");
}

#[test]
fn c_233_hostile_input_is_only_text() {
    let hostile = || HOSTILE.to_owned();
    let evil = Question {
        client_name: hostile(),
        scope: vec![hostile()],
        resources: vec![hostile()],
        binding_message: Some(hostile()),
        authorization_details: Some(json!([{ "type": HOSTILE, HOSTILE: { HOSTILE: [HOSTILE] } }])),
        agent_claims: Some(json!({ HOSTILE: HOSTILE })),
        ..question()
    };
    let mut session = session();
    session.person.name = hostile();
    let page = Ask::of(&evil, &session, ("/ciba/approve", HOSTILE), 260)
        .render()
        .unwrap();
    assert!(page.contains("&#60;script&#62;"), "{page}");
    let auth_req_id = "value=\"&#60;script&#62;";
    let (before, after) = page.split_once(auth_req_id).unwrap();
    // The browser reads the id back as it is: only there a character that steers may stand, inside an attribute.
    assert_inert(&[before, after.split_once("\">").unwrap().1].concat());
}

#[test]
fn c_233_every_notice_has_its_outcome_and_status_and_says_hostile_names_as_text() {
    let hostile = || crate::oauth::plain::plain(HOSTILE);
    for (notice, status, outcome) in [
        (
            Notice::Approved {
                client_name: hostile(),
            },
            200,
            "approved",
        ),
        (
            Notice::Rejected {
                client_name: hostile(),
            },
            200,
            "denied",
        ),
        (Notice::WasApproved, 200, "was-approved"),
        (Notice::WasRejected, 200, "was-denied"),
        (Notice::Decided, 409, "decided"),
        (
            Notice::Foreign {
                person: hostile(),
                other_person: "/login?to=%2F".into(),
            },
            403,
            "foreign",
        ),
        (
            Notice::Stale {
                page: "/ciba/approve?auth_req_id=x".into(),
            },
            403,
            "stale",
        ),
        (Notice::Expired, 410, "expired"),
        (Notice::ClientGone, 410, "client-gone"),
        (Notice::Unknown, 404, "unknown"),
        (Notice::Trouble, 503, "trouble"),
    ] {
        let html = notice.render().unwrap();
        assert!(html.contains(&format!(r#"data-outcome="{outcome}""#)), "{html}");
        assert_inert(&html);
        assert_eq!(notice.into_response().status(), status, "{outcome}");
    }
}

#[test]
fn c_109_a_request_is_shown_to_a_person_who_has_proved_enough() {
    let wanted = |fresh, acr: &[&str]| Shown {
        needs_fresh_login: fresh,
        acr_values: acr.iter().map(ToString::to_string).collect(),
        ..shown()
    };
    let signed_in = |auth_time, began| {
        let mut session = session();
        session.person.auth_time = auth_time;
        session.began = began;
        Some(session)
    };
    // The provider does not say when; the person came back from it at this time.
    let unsaid = |auth_time| {
        let mut session = signed_in(auth_time, auth_time);
        session
            .iter_mut()
            .for_each(|session| session.person.is_auth_time_said = false);
        session
    };
    for (shown, session, expected) in [
        (wanted(false, &[]), None, Some((false, ""))),
        (wanted(true, &["mfa", "phr"]), None, Some((true, "mfa phr"))),
        (wanted(false, &[]), signed_in(100, 100), None),
        (wanted(true, &[]), signed_in(199, 300), Some((true, ""))),
        (wanted(true, &[]), signed_in(200, 200), None),
        (wanted(false, &["mfa"]), signed_in(100, 199), Some((false, "mfa"))),
        (wanted(false, &["mfa", "pwd"]), signed_in(100, 199), None),
        (wanted(true, &[]), unsaid(300), Some((true, ""))),
        // The provider was asked for this request, and could do no more.
        (wanted(false, &["mfa"]), signed_in(100, 200), None),
    ] {
        let expected = expected.map(|(fresh, acr_values)| SignIn {
            to: "/x".into(),
            fresh,
            acr_values: acr_values.into(),
        });
        assert_eq!(unproved(&shown, session.as_ref(), "/x".into()), expected);
    }
}

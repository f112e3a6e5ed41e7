//! `ciba token`.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::harness::{Home, Run, token};

/// It becomes another program just then.
#[test]
fn a_daemon_that_leaves_is_asked_again_once() {
    let leaving = json!({"id": 1, "error": {"code": "leaving", "message": "cibad is shutting down"}});
    for farewell in [format!("{leaving}\n"), String::new()] {
        let was_asked = AtomicBool::new(false);
        let home = Home::with_daemon(move |_, stream| {
            let answer = match was_asked.swap(true, Ordering::Relaxed) {
                true => format!("{}\n", token("t")),
                false => farewell.clone(),
            };
            stream.write_all(answer.as_bytes()).unwrap();
        });
        assert_eq!(home.ciba(&["token"]), Run::new(0, "t\n", ""));
        assert_eq!(home.request(), home.request());
    }
    let home = Home::with_lines(&[leaving]);
    let told = Run::new(1, "", "ciba: cibad is shutting down\n");
    assert_eq!(home.ciba(&["token"]), told);
    let _ = [home.request(), home.request()];
    assert!(home.is_quiet());
}

#[test]
fn a_token_is_printed_with_a_newline_and_nothing_else() {
    let home = Home::with_lines(&[token("eyJx.y-z_")]);
    assert_eq!(home.ciba(&["token"]), Run::new(0, "eyJx.y-z_\n", ""));
    assert_eq!(home.request(), json!({"id": 1, "op": "token"}));
}

#[test]
fn a_large_token_arrives_whole() {
    let secret = "x".repeat(60_000);
    let home = Home::with_lines(&[token(&secret)]);
    assert_eq!(home.ciba(&["token"]), Run::new(0, &format!("{secret}\n"), ""));
}

#[test]
fn what_was_typed_goes_to_the_daemon() {
    let home = Home::with_lines(&[token("t")]);
    let profile = ["--profile", "work"];
    let rest = ["--resource", "urn:d:x", "--min-valid", "5m"];
    for args in [
        [&profile[..], &["token"], &rest].concat(),
        [&["token"], &profile[..], &rest].concat(),
    ] {
        assert_eq!(home.ciba(&args), Run::new(0, "t\n", ""));
        assert_eq!(
            home.request(),
            json!({"id": 1, "op": "token", "profile": "work", "resource": "urn:d:x", "min_valid": 300})
        );
    }
}

#[test]
fn the_environment_speaks_where_nothing_was_typed() {
    let home = Home::with_lines(&[token("t")]);
    let run = |args: &[&str], profile: &str, resource: &str| {
        let mut command = home.command(args);
        command
            .env("CIBA_PROFILE", profile)
            .env("CIBA_RESOURCE", resource);
        crate::harness::finish(command)
    };
    assert_eq!(run(&["token"], "work", "urn:d:x").status, Some(0));
    assert_eq!(
        home.request(),
        json!({"id": 1, "op": "token", "profile": "work", "resource": "urn:d:x"})
    );
    assert_eq!(
        run(
            &["token", "--profile", "home", "--resource", "urn:d:y"],
            "work",
            "urn:d:x"
        )
        .status,
        Some(0)
    );
    assert_eq!(
        home.request(),
        json!({"id": 1, "op": "token", "profile": "home", "resource": "urn:d:y"})
    );
    assert_eq!(run(&["token"], "", "").status, Some(0));
    assert_eq!(
        home.request(),
        json!({"id": 1, "op": "token"}),
        "an empty variable says nothing"
    );

    let refused = run(&["token"], "../x", "");
    assert_eq!((refused.status, refused.stdout.as_str()), (Some(2), ""));
    assert!(
        refused
            .stderr
            .starts_with("ciba: CIBA_PROFILE: a profile name has"),
        "{}",
        refused.stderr
    );
    assert!(home.is_quiet());
}

#[test]
fn a_header_is_ready_for_curl() {
    let home = Home::with_lines(&[token("t")]);
    assert_eq!(
        home.ciba(&["token", "--header"]),
        Run::new(0, "Authorization: Bearer t\n", "")
    );
}

#[test]
fn json_has_the_token_and_what_is_known_of_it() {
    let home = Home::with_lines(&[token("t\"\\")]);
    let run = home.ciba(&["token", "--json"]);
    assert_eq!(
        (run.status, run.stderr.as_str(), run.stdout.matches('\n').count()),
        (Some(0), "", 1)
    );
    let shown: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(shown, token("t\"\\")["ok"]);
}

#[test]
fn a_token_that_would_smuggle_a_header_is_not_printed() {
    for secret in ["a\nX-Admin: 1", "a b", "a\u{7f}", "ä"] {
        let home = Home::with_lines(&[token(secret)]);
        for args in [&["token"][..], &["token", "--header"]] {
            let expected = Run::new(
                1,
                "",
                "ciba: the token holds characters that no header may carry\n",
            );
            assert_eq!(home.ciba(args), expected, "{secret:?}");
        }
    }
}

#[test]
fn a_time_that_is_none_is_a_usage_error() {
    let home = Home::empty();
    let run = home.ciba(&["token", "--min-valid", "soon"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""));
    assert!(
        run.stderr
            .contains("a time is a number of seconds, or a number with s, m or h behind it"),
        "{}",
        run.stderr
    );
}

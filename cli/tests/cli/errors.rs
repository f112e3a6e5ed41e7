//! What goes wrong between `ciba` and `cibad`, and how the shell learns of it (I-006).

use std::io::Write as _;

use serde_json::{Value, json};

use crate::harness::{COMMANDS, Home, Run, failure, finish, token};

const CODES: [(&str, i32); 15] = [
    ("not_logged_in", 3),
    ("login_required", 3),
    ("login_denied", 5),
    ("unknown_profile", 3),
    ("invalid_target", 1),
    ("server_unreachable", 4),
    ("keychain_unavailable", 1),
    ("keychain_locked", 1),
    ("timeout", 6),
    ("bad_request", 2),
    ("unsupported_protocol", 1),
    ("busy", 1),
    ("leaving", 1),
    ("internal", 1),
    ("invented_in_2030", 1),
];

#[test]
fn i_006_every_code_has_its_exit_status() {
    for (code, status) in CODES {
        let home = Home::with_lines(&[failure(code)]);
        for args in COMMANDS {
            let run = home.ciba(args);
            assert_eq!(
                (run.status, run.stdout.as_str()),
                (Some(status), ""),
                "{code} {args:?}"
            );
            assert!(run.stderr.starts_with("ciba: no way\n"), "{code}: {}", run.stderr);
        }
    }
}

#[test]
fn whoever_is_not_logged_in_is_told_how() {
    let home = Home::with_lines(&[failure("not_logged_in")]);
    let expected = Run::new(3, "", "ciba: no way\nhint: ciba start --url URL\n");
    assert_eq!(home.ciba(&["token"]), expected);
    let named = Run::new(3, "", "ciba: no way\nhint: ciba start --profile work --url URL\n");
    for command in ["token", "stop", "status"] {
        assert_eq!(home.ciba(&[command, "--profile", "work"]), named);
    }
    let nowhere = "ciba: no server is named\nhint: ciba start --profile work --url URL\n";
    assert_eq!(
        home.ciba(&["start", "--profile", "work"]),
        Run::new(2, "", nowhere)
    );
}

#[test]
fn the_daemons_hint_comes_before_our_own() {
    let line = json!({"id": 1, "error": {"code": "not_logged_in", "message": "no way", "hint": "ciba start --url https://c"}});
    let home = Home::with_lines(&[line]);
    let expected = Run::new(3, "", "ciba: no way\nhint: ciba start --url https://c\n");
    assert_eq!(home.ciba(&["token"]), expected);
}

const WENT_AWAY: &str = "ciba: cibad went away before it had answered\n";

#[test]
fn a_daemon_that_dies_is_an_error_at_once() {
    let line = token("hunter2").to_string();
    for answer in ["", "\n{", &line[..30], &line] {
        let home = Home::with_bytes(answer.trim_start());
        for args in COMMANDS {
            assert_eq!(home.ciba(args), Run::new(1, "", WENT_AWAY), "{args:?}");
        }
    }
}

#[test]
fn a_daemon_that_dies_during_a_login_is_an_error_at_once() {
    let home = Home::with_lines(&[crate::harness::authorize("https://c/x")]);
    let run = home.ciba(&["start", "--url", "https://c"]);
    assert_eq!(run.status, Some(1));
    assert!(run.stderr.ends_with(WENT_AWAY), "{}", run.stderr);
}

#[test]
fn i_003_an_answer_longer_than_a_line_may_be_is_refused() {
    let home = Home::with_daemon(|_, stream| {
        let piece = vec![b'x'; 1 << 20];
        while stream.write_all(&piece).is_ok() {}
    });
    let expected = "ciba: cibad's answer is refused: a line is longer than 65536 bytes\n";
    assert_eq!(home.ciba(&["token"]), Run::new(1, "", expected));
}

/// Answers `hello` with `hello`, and everything else with what is no message.
fn stranger(hello: Value) -> Home {
    Home::with_daemon(move |request, stream| {
        let answer = if request["op"] == "hello" {
            hello.to_string()
        } else {
            "hunter2".into()
        };
        let _ = stream.write_all(format!("{answer}\n").as_bytes());
    })
}

#[test]
fn garbage_is_an_error_that_does_not_quote_it() {
    let expected = Run::new(1, "", "ciba: cibad's answer is not of the known form\n");
    let same = json!({"id": 1, "ok": {"protocol": 1, "version": "0.1.0", "pid": 1}});
    for hello in [
        json!("hunter2"),
        json!({"id": 1, "ok": {}}),
        failure("internal"),
        same,
    ] {
        assert_eq!(stranger(hello).ciba(&["token"]), expected);
    }
}

#[test]
fn a_daemon_that_does_not_know_what_is_asked_is_older() {
    let line = json!({"id": 1, "error": {"code": "unknown_op", "message": "unknown \"op\""}});
    let home = Home::with_lines(&[line]);
    let expected = "ciba: the running cibad is older than this ciba and cannot do that\n\
        hint: upgrade cibad, then: ciba restart\n";
    for args in [&["add", "--resource", "urn:d:x"][..], &["restart"]] {
        assert_eq!(home.ciba(args), Run::new(1, "", expected), "{args:?}");
    }
}

#[test]
fn i_004_which_side_to_upgrade_is_said() {
    let speaks = |protocol: u32| json!({"id": 1, "ok": {"protocol": protocol, "version": "9.1.0", "pid": 1}});
    let newer = "ciba: cibad 9.1.0 speaks protocol 2, this ciba speaks 1\nhint: upgrade ciba\n";
    assert_eq!(stranger(speaks(2)).ciba(&["token"]), Run::new(1, "", newer));
    let older =
        "ciba: cibad 9.1.0 speaks protocol 0, this ciba speaks 1\nhint: upgrade cibad, then restart it\n";
    assert_eq!(stranger(speaks(0)).ciba(&["token"]), Run::new(1, "", older));
    let refused = "ciba: no way\nhint: install ciba and cibad of the same version\n";
    assert_eq!(
        stranger(failure("unsupported_protocol")).ciba(&["token"]),
        Run::new(1, "", refused)
    );
}

#[test]
fn i_004_nobody_says_hello_on_the_hot_path() {
    let home = Home::with_lines(&[token("t")]);
    assert_eq!(home.ciba(&["token"]).status, Some(0));
    assert_eq!(home.request()["op"], "token");
    assert!(home.is_quiet());
}

#[test]
fn a_daemon_too_busy_to_accept_is_not_waited_for() {
    let home = Home::empty();
    let listener = std::os::unix::net::UnixListener::bind(home.socket()).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _first = std::os::unix::net::UnixStream::connect(home.socket()).unwrap();
    let run = finish(home.command(&["token"]));
    assert_eq!(run, Run::new(1, "", "ciba: cibad takes no more connections\n"));
}

#[test]
fn a_command_that_was_mistyped_is_named() {
    let home = Home::empty();
    for (typed, meant) in [
        ("tokn", "'token'"),
        ("stoop", "'stop'"),
        ("st", "'start', 'status', 'stop'"),
    ] {
        let run = home.ciba(&[typed]);
        assert_eq!(run.status, Some(2));
        assert!(run.stderr.contains(meant), "{}", run.stderr);
    }
    assert!(!home.ciba(&["nope"]).stderr.contains("similar"));
    let misplaced = home.ciba(&["--url", "https://c", "token"]).stderr;
    assert!(
        misplaced.contains("ciba start --url URL") && misplaced.contains("ciba token"),
        "{misplaced}"
    );
}

#[test]
fn what_was_mistyped_is_a_usage_error() {
    let home = Home::empty();
    let wrong: [&[&str]; 7] = [
        &[],
        &["nope"],
        &["token", "--nope"],
        &["--profile", "x"],
        &["--profile", "../x", "token"],
        &["--url", "https://c", "token"],
        &["token", "--json", "--header"],
    ];
    for args in wrong {
        let run = home.ciba(args);
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(run.stderr.contains("--help"), "{}", run.stderr);
    }
}

//! `ciba approvals`, `ciba approve` and `ciba deny`.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::harness::{Home, Run, finish};

const FIRST: &str = "k3Qz-x7_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const SECOND: &str = "-bcdefghAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn in_minutes(minutes: u64) -> u64 {
    // Half a minute of slack: the test may take its time.
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() + minutes * 60 + 30
}

fn approval(request: &str) -> Value {
    json!({"id": 1, "event": "approval", "profile": "default", "request": request, "client_name": "Shop",
        "scope": ["openid", "pay"], "binding_message": "Pay 20 EUR", "created_at": 1, "expires_at": in_minutes(4),
        "authorization_details": "[{\"type\":\"payment\",\"amount\":\"20.00\"}]",
        "url": "http://127.0.0.1:9/ciba/approve?auth_req_id=x", "answer": "terminal"})
}

fn with(mut approval: Value, changes: &Value) -> Value {
    for (key, value) in changes.as_object().unwrap() {
        approval[key] = value.clone();
    }
    approval
}

/// A home whose daemon has these requests, and answers a decision so.
fn home(approvals: &[Value], decided: Value) -> Home {
    let mut listed: String = approvals.iter().map(|line| format!("{line}\n")).collect();
    listed.push_str("{\"id\":1,\"ok\":{}}\n");
    Home::with_daemon(move |request, stream| {
        let answer = match request["op"].as_str() {
            Some("approvals") => listed.clone(),
            _ => format!("{decided}\n"),
        };
        let _ = stream.write_all(answer.as_bytes());
    })
}

fn decided() -> Value {
    json!({"id": 1, "ok": {"profile": "default", "request": FIRST}})
}

fn decides(request: &str, approve: bool) -> Value {
    json!({"id": 1, "op": "decide", "request": request, "approve": approve, "profile": "default"})
}

/// Runs `ciba` without any terminal.
fn detached(home: &Home, args: &[&str]) -> Run {
    let inner = home.command(args);
    let mut command = Command::new("setsid");
    command
        .arg("-w")
        .arg(inner.get_program())
        .args(args)
        .env_clear()
        .stdin(Stdio::null());
    for (name, value) in inner.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    finish(command)
}

/// Runs `ciba` on a terminal, and types an answer to its question; returns what appeared, and the exit status.
fn answered(home: &Home, args: &[&str], answer: &str) -> (String, Option<i32>) {
    let inner = home.command(args);
    let line = format!("{} {}", inner.get_program().to_str().unwrap(), args.join(" "));
    let mut script = Command::new("script");
    script
        .args(["-qec", &line, "/dev/null"])
        .env_clear()
        .env("TERM", "dumb")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    for (name, value) in inner.get_envs() {
        script.env(name, value.unwrap_or_default());
    }
    let mut child = script.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    let mut has_typed = false;
    let mut bytes = [0; 1024];
    loop {
        match stdout.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => shown.extend(&bytes[..count]),
        }
        let is_asked = String::from_utf8_lossy(&shown).contains("[y/N]");
        if is_asked && !std::mem::replace(&mut has_typed, true) {
            stdin.write_all(answer.as_bytes()).unwrap();
        }
    }
    let status = child.wait().unwrap().code();
    (String::from_utf8(shown).unwrap().replace("\r\n", "\n"), status)
}

#[test]
fn c_211_approvals_are_a_table() {
    let second = with(
        approval(SECOND),
        &json!({"client_name": "Bank of \u{1b}[2J\u{202e}", "binding_message": null, "expires_at": in_minutes(2)}),
    );
    let home = home(&[approval(FIRST), second, approval(FIRST)], decided());
    let table = "\
-bcdefgh  Bank of \u{fffd}[2J\u{fffd}  openid pay    expires in 2 min
k3Qz-x7_  Shop           \u{201c}Pay 20 EUR\u{201d}  expires in 4 min
";
    assert_eq!(home.ciba(&["approvals"]), Run::new(0, table, ""));
    assert_eq!(home.request(), json!({"id": 1, "op": "approvals"}));
    let none = self::home(&[], decided()).ciba(&["approvals"]);
    assert_eq!(none, Run::new(0, "", "No request waits for your decision.\n"));
}

#[test]
fn c_211_approvals_as_json_have_the_details_as_json() {
    let request = with(
        approval(FIRST),
        &json!({"agent": "no json", "client_name": "\u{9b}\u{202e}"}),
    );
    let run = home(std::slice::from_ref(&request), decided()).ciba(&["approvals", "--json"]);
    assert!(run.stdout.contains(r"\u009b\u202e"), "{}", run.stdout);
    let mut expected = with(
        request,
        &json!({"id": "k3Qz-x7_", "authorization_details": [{"type": "payment", "amount": "20.00"}]}),
    );
    expected.as_object_mut().unwrap().remove("event");
    assert_eq!(serde_json::from_str::<Value>(&run.stdout).unwrap(), expected);
}

#[test]
fn c_211_a_watch_prints_what_comes_and_goes_until_the_daemon_leaves() {
    let gone = json!({"id": 1, "event": "approval_gone", "profile": "default", "request": FIRST});
    let lines = [
        approval(FIRST),
        with(approval(FIRST), &json!({"profile": "work"})),
        gone.clone(),
        gone,
    ];
    let home = Home::with_lines(&lines);
    let run = home.ciba(&["approvals", "--watch"]);
    assert_eq!(
        run.stdout,
        "k3Qz-x7_  Shop  \u{201c}Pay 20 EUR\u{201d}  expires in 4 min\nk3Qz-x7_  decided, or expired\n"
    );
    assert_eq!(home.request(), json!({"id": 1, "op": "approvals", "watch": true}));
    let run = Home::with_lines(&lines).ciba(&["approvals", "--watch", "--json"]);
    let events: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events.len(), 2);
    assert_eq!(
        (&events[0]["event"], &events[0]["id"]),
        (&json!("approval"), &json!("k3Qz-x7_"))
    );
    assert_eq!(events[1]["event"], "approval_gone");
}

#[test]
fn c_236_c_211_a_person_is_shown_what_is_asked_for_and_then_asked() {
    let home = home(&[approval(FIRST)], decided());
    let (shown, status) = answered(&home, &["approve"], "y\n");
    assert_eq!(status, Some(0), "{shown}");
    let question = "\
Shop asks for your approval:

  Client   Shop
  Message  \u{201c}Pay 20 EUR\u{201d}
  Access   openid, pay
  Details  payment
             amount  20.00
  Request  k3Qz-x7_, expires in 4 min

Approve? [y/N] ";
    assert!(shown.starts_with(question), "{shown}");
    assert!(shown.ends_with("Approved: k3Qz-x7_, Shop\n"), "{shown}");
    home.request();
    assert_eq!(home.request(), decides(FIRST, true));
}

#[test]
fn c_211_what_is_not_a_yes_decides_nothing() {
    for (command, answer) in [("approve", "n\n"), ("approve", "\n"), ("deny", "no\n")] {
        let home = home(&[approval(FIRST)], decided());
        let (shown, status) = answered(&home, &[command, "k3Qz"], answer);
        assert_eq!(status, Some(5), "{shown}");
        assert!(
            shown.contains("nothing was decided: the request still waits"),
            "{shown}"
        );
        home.request();
        assert!(home.is_quiet(), "{command}");
    }
}

#[test]
fn c_211_a_script_denies_with_yes_and_cannot_approve() {
    let waiting = [approval(FIRST), approval(SECOND)];
    for (args, request) in [
        (&["deny", "-y", "k3Qz"][..], FIRST),
        (&["deny", "-bcdefgh", "-y"], SECOND),
        (&["deny", SECOND, "--yes"], SECOND),
        (&["deny", "--yes", "--", "-bcdefgh"], SECOND),
    ] {
        let home = home(&waiting, decided());
        let run = detached(&home, args);
        assert_eq!(run.status, Some(0), "{run:?}");
        home.request();
        assert_eq!(home.request(), decides(request, false), "{args:?}");
    }
    for (command, told) in [
        (
            "deny",
            "ciba: there is no terminal to ask you on\nhint: ciba deny --yes -- k3Qz-x7_\n",
        ),
        (
            "approve",
            "ciba: only a person at a terminal can approve here, and there is no terminal\n\
             hint: the person can decide on this page: http://127.0.0.1:9/ciba/approve?auth_req_id=x\n",
        ),
    ] {
        let home = home(&waiting, decided());
        assert_eq!(detached(&home, &[command, "k3Qz"]), Run::new(2, "", told));
        home.request();
        assert!(home.is_quiet());
    }
    for option in ["--yes", "-y"] {
        let home = home(&waiting, decided());
        for args in [&["approve", "k3Qz", option][..], &["approve", option]] {
            let run = detached(&home, args);
            assert_eq!(run.status, Some(2), "{run:?}");
            assert!(home.is_quiet());
        }
    }
}

#[test]
fn an_option_that_there_is_not_is_no_request() {
    for args in [
        &["approve", "--yes"][..],
        &["deny", "--force"],
        &["deny", "-q"],
        &["approve", "--approve-all"],
    ] {
        let home = home(&[approval(FIRST)], decided());
        let run = detached(&home, args);
        assert_eq!(run.status, Some(2), "{run:?}");
        assert!(
            run.stderr.contains("there is no such option; a request"),
            "{run:?}"
        );
        assert!(home.is_quiet());
    }
}

#[test]
fn c_211_a_request_that_is_not_clear_is_not_decided() {
    let two = [approval(FIRST), approval(SECOND)];
    for (approvals, args, status, says) in [
        (&two[..], &["approve"][..], 2, "several requests wait: name one"),
        (&two, &["approve", "k3Q"], 2, "by its first 4 characters"),
        (&two, &["deny", "zzzz", "-y"], 1, "no request of this name waits"),
        (&[], &["deny", "-y"], 1, "no request waits for your decision"),
    ] {
        let home = home(approvals, decided());
        let run = detached(&home, args);
        assert_eq!(run.status, Some(status), "{run:?}");
        assert!(run.stderr.contains(says), "{run:?}");
    }
}

#[test]
fn c_211_a_request_for_the_browser_has_its_page_named_and_is_not_decided() {
    let in_browser = with(approval(FIRST), &json!({"answer": "browser"}));
    let refusal = json!({"id": 1, "error": {"code": "needs_browser", "message": "no",
        "url": "http://127.0.0.1:9/ciba/approve?auth_req_id=x"}});
    let too_long = with(approval(FIRST), &json!({"scope": ["x".repeat(257)]}));
    for (approval, decision) in [
        (in_browser, decided()),
        (too_long, decided()),
        (approval(FIRST), refusal),
    ] {
        let home = home(&[approval], decision);
        let (shown, status) = answered(&home, &["approve", "--no-browser"], "y\n");
        assert_eq!(status, Some(1), "{shown}");
        let page = "Open this page to decide:\n\n  http://127.0.0.1:9/ciba/approve?auth_req_id=x\n";
        assert!(shown.contains(page), "{shown}");
    }
}

#[test]
fn i_006_a_decision_that_does_not_count_says_why() {
    for (code, status) in [
        ("request_over", 1),
        ("server_unreachable", 4),
        ("timeout", 6),
        ("not_logged_in", 3),
    ] {
        let failure = json!({"id": 1, "error": {"code": code, "message": "no way"}});
        let run = detached(&home(&[approval(FIRST)], failure), &["deny", "-y"]);
        assert_eq!(run.status, Some(status), "{run:?}");
        assert!(run.stderr.contains("no way"), "{run:?}");
    }
}

//! `ciba start` and the one-shot login.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::mpsc;

use serde_json::{Value, json};

use crate::harness::{HUNG, Home, Run, authorize, failure, finish, started, token};

const PAGE: &str = "https://ciba.example.com/login?user_code=ABCD-EFGH";

const PROMPT: &str = "Open this page to log in:\n\n  https://ciba.example.com/login?user_code=ABCD-EFGH\n\n\
    Compare this code with the page: ABCD-EFGH\n";

#[test]
fn start_shows_page_and_code_and_says_who_came() {
    let connected = json!({"id": 1, "event": "connected", "profile": "default"});
    let home = Home::with_lines(&[authorize(PAGE), connected, started()]);
    let stderr = format!("{PROMPT}Logged in as Alice. `ciba token` now prints tokens.\n");
    assert_eq!(
        home.ciba(&["start", "--url", "https://ciba.example.com"]),
        Run::new(0, "", &stderr)
    );
    assert_eq!(
        home.request(),
        json!({"id": 1, "op": "start", "url": "https://ciba.example.com"})
    );
}

#[test]
fn start_takes_server_and_resource_from_the_environment() {
    let home = Home::with_lines(&[started()]);
    let mut command = home.command(&["start", "--profile", "work"]);
    command
        .env("CIBA_URL", "https://c")
        .env("CIBA_RESOURCE", "urn:d:x");
    assert_eq!(finish(command).status, Some(0));
    assert_eq!(
        home.request(),
        json!({"id": 1, "op": "start", "url": "https://c", "profile": "work", "resource": "urn:d:x"})
    );
}

#[test]
fn d_052_start_passes_the_keychain_on() {
    let home = Home::with_lines(&[started()]);
    for keychain in ["secret-service", "kernel", "macos", "memory"] {
        let run = home.ciba(&["start", "--url", "https://c", "--keychain", keychain]);
        assert_eq!(run.status, Some(0));
        assert_eq!(home.request()["keychain"], keychain);
        // It asks where the login is kept.
        while home.request()["op"] != "hello" {}
    }
    let refused = home.ciba(&["start", "--url", "https://c", "--keychain", "clear-text"]);
    assert_eq!((refused.status, refused.stdout.as_str()), (Some(2), ""));
    assert!(
        refused.stderr.contains("secret-service, kernel, macos, memory"),
        "{}",
        refused.stderr
    );
    let mut command = home.command(&["start", "--url", "https://c"]);
    command.env("CIBA_KEYCHAIN", "clear-text");
    let expected = "ciba: CIBA_KEYCHAIN: a keychain is one of secret-service, kernel, macos, memory\n";
    assert_eq!(finish(command), Run::new(2, "", expected));
    assert!(home.is_quiet());
    let mut command = home.command(&["start", "--url", "https://c"]);
    command.env("CIBA_KEYCHAIN", "kernel");
    assert_eq!(finish(command).status, Some(0));
    assert_eq!(home.request()["keychain"], "kernel");
}

/// A home where a person logs in, and the login is kept as `kept` says.
fn kept(kept: Value) -> Home {
    Home::with_daemon(move |request, stream| {
        let status = json!({"version": "0.1.0", "pid": 42, "memory_locked": true, "profiles": [
            {"profile": "default", "url": "https://c", "state": "active", "link": "connected", "tokens": [], "kept": kept}]});
        let answer = match request["op"].as_str() {
            Some("status") => json!({"id": 1, "ok": status}),
            _ => started(),
        };
        writeln!(stream, "{answer}").unwrap();
    })
}

#[test]
fn d_052_start_says_where_the_login_is_kept() {
    let home = kept(json!({"keychain": "kernel"}));
    let text = "Logged in as Alice. `ciba token` now prints tokens.\n\
        The login is kept in: kernel keyring, ends with the next reboot.\n";
    assert_eq!(home.ciba(&START), Run::new(0, "", text));
    assert_eq!(home.request()["op"], "start");
    assert_eq!(
        home.request(),
        json!({"id": 1, "op": "status", "profile": "default"})
    );

    let json = home.ciba(&["start", "--url", "https://c", "--json"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["kept"], json!({"keychain": "kernel"}));

    let locked = json!({"code": "keychain_locked", "message": "the keychain is locked"});
    let home = kept(json!({"keychain": "secret-service", "problem": locked}));
    let text = "Logged in as Alice. `ciba token` now prints tokens.\n\
        The login is not kept yet: the keychain is locked.\n\
        hint: unlock it; cibad then goes on by itself\n";
    assert_eq!(home.ciba(&START), Run::new(0, "", text));
}

#[test]
fn start_names_the_profile_to_use_from_now_on() {
    let mut answer = started();
    answer["ok"]["profile"] = "work".into();
    answer["ok"].as_object_mut().unwrap().remove("subject");
    let home = Home::with_lines(&[answer]);
    let expected = Run::new(
        0,
        "",
        "Logged in. `ciba token --profile work` now prints tokens.\n",
    );
    assert_eq!(home.ciba(&["start", "--url", "https://c"]), expected);
}

#[test]
fn start_json_prints_an_object_a_line() {
    let home = Home::with_lines(&[authorize(PAGE), started()]);
    let run = home.ciba(&["start", "--url", "https://c", "--json"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), PROMPT));
    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut first = authorize(PAGE);
    first.as_object_mut().unwrap().remove("id");
    let mut last = started()["ok"].clone();
    last["event"] = "logged_in".into();
    assert_eq!(lines, [first, last]);
}

#[test]
fn start_passes_over_events_that_it_does_not_know() {
    let later = json!({"id": 1, "event": "from_2030", "profile": ["work"]});
    let home = Home::with_lines(&[later, authorize(PAGE), started()]);
    let run = home.ciba(&["start", "--url", "https://c", "--json"]);
    let events = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let names: Vec<_> = events.map(|event| event["event"].clone()).collect();
    assert_eq!(names, ["authorize", "logged_in"]);
}

#[test]
fn start_without_a_server_asks_nobody() {
    let home = Home::with_lines(&[started()]);
    let expected = Run::new(2, "", "ciba: no server is named\nhint: ciba start --url URL\n");
    assert_eq!(home.ciba(&["start"]), expected);
    assert!(home.is_quiet());
}

#[test]
fn a_refused_login_ends_with_its_status() {
    let home = Home::with_lines(&[authorize(PAGE), failure("login_denied")]);
    let expected = Run::new(5, "", &format!("{PROMPT}ciba: no way\n"));
    assert_eq!(home.ciba(&["start", "--url", "https://c"]), expected);
}

#[test]
fn one_shot_prints_the_token_alone() {
    let home = Home::with_lines(&[authorize(PAGE), token("t")]);
    assert_eq!(home.ciba(&["--url", "https://c"]), Run::new(0, "t\n", PROMPT));
    assert_eq!(
        home.request(),
        json!({"id": 1, "op": "start", "url": "https://c", "one_shot": true})
    );
}

#[test]
fn qr_is_for_people() {
    let home = Home::with_lines(&[authorize(PAGE), token("t")]);
    let run = home.ciba(&["--url", "https://c", "--qr"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), "t\n"));
    assert!(run.stderr.contains("█▀"), "{}", run.stderr);
}

/// Runs `ciba start` on a desktop whose browser writes down what it was given, and returns that.
fn opened(page: &str, args: &[&str], display: Option<&str>) -> Option<String> {
    let home = Home::with_lines(&[authorize(page), started()]);
    let seen = home.path().join("seen");
    home.script("xdg-open", &format!("printf '%s' \"$1\" > '{}'", seen.display()));
    let mut command = home.command(args);
    command.env("PATH", home.path());
    if let Some(display) = display {
        command.env(display, ":0");
    }
    assert_eq!(finish(command).status, Some(0));
    fs::read_to_string(seen).ok()
}

const START: [&str; 3] = ["start", "--url", "https://c"];

#[test]
#[cfg(target_os = "linux")]
fn the_browser_opens_where_somebody_sees_it() {
    assert_eq!(opened(PAGE, &START, Some("DISPLAY")).as_deref(), Some(PAGE));
    assert_eq!(
        opened(PAGE, &START, Some("WAYLAND_DISPLAY")).as_deref(),
        Some(PAGE)
    );
    assert_eq!(opened(PAGE, &START, None), None);
    assert_eq!(opened(PAGE, &START, Some("SSH_CONNECTION")), None);
    assert_eq!(
        opened(PAGE, &[&START[..], &["--no-browser"]].concat(), Some("DISPLAY")),
        None
    );
}

#[test]
#[cfg(target_os = "linux")]
fn only_a_web_page_is_opened() {
    let loopback = "http://127.0.0.1:8787/login";
    assert_eq!(
        opened(loopback, &START, Some("DISPLAY")).as_deref(),
        Some(loopback)
    );
    for page in [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://ciba.example.com/",
        "--help",
    ] {
        assert_eq!(opened(page, &START, Some("DISPLAY")), None, "{page}");
    }
}

#[test]
fn ctrl_c_closes_the_socket_and_so_cancels_the_login() {
    let (gone, closed) = mpsc::channel();
    let home = Home::with_daemon(move |_, stream| {
        writeln!(stream, "{}", authorize(PAGE)).unwrap();
        let end = stream.read(&mut [0]).unwrap();
        gone.send(end).unwrap();
    });
    let mut child = home.command(&START).stderr(Stdio::piped()).spawn().unwrap();
    let mut prompt = vec![0; PROMPT.len()];
    child.stderr.as_mut().unwrap().read_exact(&mut prompt).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::INT,
    )
    .unwrap();
    assert_eq!(
        closed.recv_timeout(HUNG),
        Ok(0),
        "the daemon sees the end of the connection"
    );
    let mut rest = String::new();
    child.stderr.as_mut().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!((child.wait().unwrap().signal(), rest.as_str()), (Some(2), ""));
}

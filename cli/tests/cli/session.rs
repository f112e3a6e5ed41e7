//! `ciba status`, `ciba watch` and `ciba stop`.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::harness::{Home, Run, authorize, failure, started, token};

fn status(expires_at: u64) -> Value {
    json!({"id": 1, "ok": {"version": "0.1.0", "pid": 42, "memory_locked": true, "profiles": [
        {"profile": "default", "url": "https://ciba.example.com", "state": "active", "link": "connected",
         "subject": "Alice", "tokens": [
            {"resource": "urn:d:unified-gateway", "expires_at": expires_at},
            {"resource": "urn:d:x", "expires_at": 1}]},
        {"profile": "work", "url": "https://b", "state": "failed", "link": "offline", "tokens": [],
         "error": {"code": "login_required", "message": "the login has ended"}},
    ]}})
}

#[test]
fn status_is_a_table_for_people() {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    // Half an interval of slack: the test may take its time.
    let home = Home::with_lines(&[status(now + 36 * 3600 - 1800)]);
    let table = "\
cibad 0.1.0 is running, pid 42

default  logged in, connected, https://ciba.example.com, Alice
  urn:d:unified-gateway  expires in 35 h
  urn:d:x                expired

work     failed, offline, https://b
  the login has ended
  hint: ciba start --profile work --url https://b
";
    assert_eq!(home.ciba(&["status"]), Run::new(0, table, ""));
    assert_eq!(home.request(), json!({"id": 1, "op": "status"}));
}

#[test]
fn d_052_status_says_where_each_login_is_kept_and_when_it_ends() {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let login = |kept: Value| {
        json!({"profile": "default", "url": "https://c", "state": "active", "link": "connected",
            "tokens": [], "kept": kept, "expires_at": now + 30 * 86_400 - 3600})
    };
    let locked = json!({"code": "keychain_locked", "message": "the keychain is locked"});
    let told = json!({"code": "internal", "message": "it failed", "hint": "do this"});
    let silent = json!({"code": "internal", "message": "it failed"});
    for (kept, text) in [
        (
            json!({"keychain": "secret-service"}),
            "kept in: Secret Service, the desktop's keychain\n",
        ),
        (
            json!({"keychain": "kernel"}),
            "kept in: kernel keyring, ends with the next reboot\n",
        ),
        (json!({"keychain": "macos"}), "kept in: macOS Keychain\n"),
        (
            json!({"keychain": "memory"}),
            "kept in: memory, ends with the daemon\n",
        ),
        (
            json!({"keychain": "secret-service", "problem": locked}),
            "not kept yet: the keychain is locked\n  hint: unlock it; cibad then goes on by itself\n",
        ),
        (
            json!({"keychain": "kernel", "problem": told}),
            "not kept yet: it failed\n  hint: do this\n",
        ),
        (
            json!({"keychain": "kernel", "problem": silent}),
            "not kept yet: it failed\n  hint: ciba doctor\n",
        ),
    ] {
        let answer = json!({"id": 1, "ok": {"version": "0.1.0", "pid": 42, "memory_locked": true,
            "profiles": [login(kept)]}});
        let expected = format!(
            "cibad 0.1.0 is running, pid 42\n\ndefault  logged in, connected, https://c\n  {text}  the login expires in 29 days\n"
        );
        assert_eq!(
            Home::with_lines(&[answer]).ciba(&["status"]),
            Run::new(0, &expected, "")
        );
    }
}

#[test]
fn d_053_a_keychain_that_hides_logins_is_told_from_nobody_being_logged_in() {
    let answer = json!({"id": 1, "ok": {"version": "0.1.0", "pid": 42, "memory_locked": true, "profiles": [],
        "keychain": {"code": "keychain_locked", "message": "the keychain is locked"}}});
    let text = "cibad 0.1.0 is running, pid 42\nlogins may be missing: the keychain is locked\n\
        hint: unlock it; cibad then goes on by itself\nnobody is logged in\n";
    assert_eq!(
        Home::with_lines(&[answer]).ciba(&["status"]),
        Run::new(0, text, "")
    );
}

#[test]
fn status_says_that_the_configuration_is_not_used() {
    let answer = json!({"id": 1, "ok": {"version": "0.1.0", "pid": 42, "memory_locked": true, "profiles": [],
        "configuration": "/c.toml: line 1, column 1: unknown key `x`"}});
    let text = "cibad 0.1.0 is running, pid 42
\
        the configuration is not used: /c.toml: line 1, column 1: unknown key `x`
nobody is logged in
hint: ciba start --url URL
";
    assert_eq!(
        Home::with_lines(&[answer]).ciba(&["status"]),
        Run::new(0, text, "")
    );
}

#[test]
fn status_says_when_secrets_may_be_swapped_and_nobody_is_there() {
    let answer =
        json!({"id": 1, "ok": {"version": "0.1.0", "pid": 42, "memory_locked": false, "profiles": []}});
    let home = Home::with_lines(&[answer]);
    let text = "cibad 0.1.0 is running, pid 42, secrets may be swapped to disk\nnobody is logged in\nhint: ciba start --url URL\n";
    assert_eq!(home.ciba(&["status"]), Run::new(0, text, ""));
}

#[test]
fn status_json_is_the_daemons_answer() {
    let home = Home::with_lines(&[status(9)]);
    let run = home.ciba(&["status", "--json", "--profile", "work"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let mut expected = status(9)["ok"].clone();
    expected["running"] = true.into();
    assert_eq!(serde_json::from_str::<Value>(&run.stdout).unwrap(), expected);
    assert_eq!(home.request()["profile"], "work");
}

#[test]
fn without_a_daemon_none_is_started_to_look() {
    let home = Home::empty();
    let text = "cibad is not running\nhint: ciba start --url URL\n";
    assert_eq!(home.ciba(&["status"]), Run::new(0, text, ""));
    assert_eq!(
        home.ciba(&["status", "--json"]),
        Run::new(0, "{\"running\":false}\n", "")
    );
    let watch = Run::new(1, "", "ciba: cibad is not running\nhint: ciba start --url URL\n");
    assert_eq!(home.ciba(&["watch"]), watch);
}

#[test]
fn to_stop_everything_where_nothing_is_is_no_failure() {
    let none = json!({"id": 1, "ok": {"profiles": [], "daemon_leaves": true}});
    let expected = Run::new(0, "", "Nothing to stop: nobody is logged in.\n");
    assert_eq!(Home::with_lines(&[none]).ciba(&["stop", "--all"]), expected);
}

/// The first daemon is about to leave, or is gone before it answers; the second has no login any more.
#[test]
fn a_daemon_that_leaves_while_it_is_asked_to_stop_is_asked_again_once() {
    let stopped = json!({"id": 1, "ok": {"profiles": ["default"], "daemon_leaves": true}});
    let nobody = json!({"id": 1, "error": {"code": "not_logged_in", "message": "nobody is logged in"}});
    let told = Run::new(3, "", "ciba: nobody is logged in\nhint: ciba start --url URL\n");
    for farewell in [format!("{}\n", failure("leaving")), String::new()] {
        let home = Home::with_answers(&[&farewell, &format!("{stopped}\n")]);
        assert_eq!(home.ciba(&["stop"]), Run::new(0, "", "Logged out of default.\n"));
        assert_eq!(home.request(), home.request());
        let home = Home::with_answers(&[&farewell, &format!("{nobody}\n")]);
        assert_eq!(home.ciba(&["stop"]), told, "as it would be a moment later");
    }
}

#[test]
fn a_daemon_that_leaves_is_asked_again_by_every_command() {
    let answers: [(&[&str], Value); 3] = [
        (&["status"], status(9)),
        (&["start", "--url", "https://c"], started()),
        (&["--url", "https://c"], token("t")),
    ];
    for (args, answer) in answers {
        let home = Home::with_answers(&["", &format!("{answer}\n")]);
        assert_eq!(home.ciba(args).status, Some(0), "{args:?}");
    }
}

#[test]
fn a_login_that_has_begun_is_not_begun_again() {
    let begun = format!("{}\n", authorize("https://c/x"));
    let home = Home::with_answers(&[&begun, &format!("{}\n", started())]);
    assert_eq!(home.ciba(&["start", "--url", "https://c"]).status, Some(1));
}

#[test]
fn stop_names_the_sessions_that_ended() {
    let answer = json!({"id": 1, "ok": {"profiles": ["default", "work"], "server_not_told": ["work"], "daemon_leaves": true}});
    let home = Home::with_lines(&[answer]);
    let text = "Logged out of default.\nLogged out of work.\n\
        The server of work could not be told; its side of the session ends by itself.\n";
    assert_eq!(home.ciba(&["stop", "--all"]), Run::new(0, "", text));
    assert_eq!(home.request(), json!({"id": 1, "op": "stop", "all": true}));
    assert_eq!(home.ciba(&["stop", "--profile", "work"]).status, Some(0));
    assert_eq!(home.request(), json!({"id": 1, "op": "stop", "profile": "work"}));
    assert_eq!(home.ciba(&["stop", "--profile", "work", "--all"]).status, Some(2));
}

#[test]
fn d_052_stop_says_what_a_keychain_did_not_delete() {
    let answer =
        json!({"id": 1, "ok": {"profiles": ["work"], "still_kept": ["work"], "daemon_leaves": true}});
    let text = "Logged out of work.\n\
        The keychain still has the login of work; it opens nothing any more.\n";
    assert_eq!(Home::with_lines(&[answer]).ciba(&["stop"]), Run::new(0, "", text));
}

#[test]
fn d_052_stop_says_that_a_locked_keychain_may_hold_more() {
    let locked = json!({"code": "keychain_locked", "message": "the keychain is locked", "hint": "unlock it"});
    let answer = json!({"id": 1, "ok": {"profiles": ["work"], "still_kept": ["work"], "keychain": locked, "daemon_leaves": false}});
    let text = "Logged out of work.\n\
        The keychain still has the login of work: stop it again when the keychain is open.\n\
        There may be more logins, which go on: the keychain is locked\nhint: unlock it\n";
    assert_eq!(
        Home::with_lines(&[answer]).ciba(&["stop", "--all"]),
        Run::new(0, "", text)
    );
}

#[test]
fn watch_says_in_time_that_a_login_will_end() {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let expiring = |profile: &str| json!({"id": 1, "event": "expiring", "profile": profile, "expires_at": now + 36 * 3600 - 1800});
    let home = Home::with_lines(&[expiring("default"), expiring("work"), json!({"id": 1, "ok": {}})]);
    let text = "default: the login expires in 35 h; renew it: ciba start --url URL\n\
        work: the login expires in 35 h; renew it: ciba start --profile work --url URL\n";
    assert_eq!(home.ciba(&["watch"]), Run::new(0, text, ""));
}

fn events() -> [Value; 4] {
    [
        json!({"id": 1, "event": "connected", "profile": "work"}),
        json!({"id": 1, "event": "token", "profile": "work", "resource": "urn:d:x", "expires_at": 5}),
        json!({"id": 1, "event": "session", "profile": "work", "state": "failed",
            "error": {"code": "login_required", "message": "the login has ended"}}),
        json!({"id": 1, "ok": {}}),
    ]
}

#[test]
fn watch_prints_a_line_an_event() {
    let home = Home::with_lines(&events());
    let text = "work: connected\nwork: new token for urn:d:x\nwork: login failed: the login has ended\n";
    assert_eq!(home.ciba(&["watch"]), Run::new(0, text, ""));
    assert_eq!(home.request(), json!({"id": 1, "op": "watch"}));
}

#[test]
fn watch_tells_of_links_and_logins() {
    let session = |state: &str| json!({"id": 1, "event": "session", "profile": "work", "state": state});
    let mut page = authorize("https://c/\x1b[2J");
    page["profile"] = "work".into();
    let home = Home::with_lines(&[
        session("pending"),
        page,
        session("active"),
        json!({"id": 1, "event": "disconnected", "profile": "work"}),
        session("ended"),
        json!({"id": 1, "ok": {}}),
    ]);
    let text = "work: login begins\nwork: waits for a login at https://c/\u{fffd}[2J, code ABCD-EFGH\n\
        work: logged in\nwork: connection lost\nwork: logged out\n";
    assert_eq!(home.ciba(&["watch"]), Run::new(0, text, ""));
}

#[test]
fn watch_json_is_what_the_daemon_says() {
    let home = Home::with_lines(&events());
    let run = home.ciba(&["watch", "--json"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let expected = events().into_iter().take(3).map(|mut event| {
        event.as_object_mut().unwrap().remove("id");
        event
    });
    assert_eq!(lines, expected.collect::<Vec<_>>());
}

/// A newer daemon may have more to tell.
#[test]
fn watch_passes_over_events_that_it_does_not_know() {
    let later = json!({"id": 1, "event": "from_2030", "profile": ["work"]});
    let [connected, .., end] = events();
    let home = Home::with_lines(&[later, connected, end]);
    assert_eq!(home.ciba(&["watch"]), Run::new(0, "work: connected\n", ""));
    let json = "{\"event\":\"connected\",\"profile\":\"work\"}\n";
    assert_eq!(home.ciba(&["watch", "--json"]), Run::new(0, json, ""));
}

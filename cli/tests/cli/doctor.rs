//! `ciba doctor`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::harness::{Home, Run, failure, finish};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn hello(version: &str) -> Value {
    json!({"id": 1, "ok": {"protocol": 1, "version": version, "pid": 42}})
}

fn found(checks: &[Value]) -> Value {
    json!({"id": 1, "ok": {"checks": checks}})
}

fn well() -> Value {
    json!({"name": "keychain", "verdict": "ok", "message": "kernel works"})
}

fn warning() -> Value {
    json!({"name": "memory", "verdict": "warning", "message": "secrets may be swapped", "hint": "ulimit -l"})
}

fn unwell() -> Value {
    json!({"name": "server", "profile": "work", "verdict": "failure", "message": "https://b: away\x1b[2J", "hint": "wait"})
}

/// A home whose daemon has this version and finds these things.
fn home(version: &'static str, diagnosis: Value) -> Home {
    let home = Home::with_daemon(move |request, stream| {
        let answer = match request["op"].as_str() {
            Some("hello") => hello(version),
            _ => diagnosis.clone(),
        };
        let _ = writeln!(stream, "{answer}");
    });
    fs::set_permissions(home.socket(), fs::Permissions::from_mode(0o600)).unwrap();
    home
}

/// `ciba doctor` beside a `cibad` that says this when it is asked for its version.
fn doctor(home: &Home, installed: &str, args: &[&str]) -> Run {
    let program = home.script("cibad", &format!("test \"$*\" = --version && {installed}"));
    let mut command = home.command(&[&["doctor"], args].concat());
    command.env("CIBA_DAEMON", program);
    let run = finish(command);
    let place = home.path().display().to_string();
    Run {
        stdout: run.stdout.replace(&place, "HOME"),
        stderr: run.stderr.replace(&place, "HOME"),
        ..run
    }
}

fn says(version: &str) -> String {
    format!("echo cibad {version}")
}

/// The first lines where all is well.
fn head() -> String {
    format!(
        "ok socket: HOME/agent.sock\nok program: cibad {VERSION}, HOME/cibad\n\
         ok daemon: cibad {VERSION} is running, pid 42\n"
    )
}

#[test]
fn where_nothing_fails_the_exit_status_is_0() {
    let home = home(VERSION, found(&[well(), warning()]));
    let text = format!(
        "{}ok keychain: kernel works\nwarning memory: secrets may be swapped\n  hint: ulimit -l\n",
        head()
    );
    assert_eq!(doctor(&home, &says(VERSION), &[]), Run::new(0, &text, ""));
    assert_eq!(home.request()["op"], "hello");
    assert_eq!(home.request(), json!({"id": 1, "op": "diagnose"}));
    assert!(home.is_quiet());
}

#[test]
fn where_something_fails_it_is_1() {
    let home = home(VERSION, found(&[unwell(), well()]));
    let text = format!(
        "{}failure server of work: https://b: away\u{fffd}[2J\n  hint: wait\nok keychain: kernel works\n",
        head()
    );
    assert_eq!(
        doctor(&home, &says(VERSION), &[]),
        Run::new(1, &text, "ciba: 1 check failed\n")
    );
}

#[test]
fn doctor_json_is_one_diagnosis_of_both_sides() {
    let home = home(VERSION, found(&[unwell(), warning()]));
    let run = doctor(&home, &says(VERSION), &["--json"]);
    assert_eq!(
        (run.status, run.stderr.as_str()),
        (Some(1), "ciba: 1 check failed\n")
    );
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    let checks = json["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 5);
    assert_eq!(
        checks[0],
        json!({"name": "socket", "verdict": "ok", "message": "HOME/agent.sock"})
    );
    assert_eq!(checks[3..], [unwell(), warning()]);
}

#[test]
fn without_a_daemon_none_is_started_and_nothing_is_wrong() {
    let home = Home::empty();
    let text = format!(
        "ok socket: HOME/agent.sock, nobody listens\nok program: cibad {VERSION}, HOME/cibad\n\
         ok daemon: not running, so keychains, logins and servers were not checked: only the daemon sees them\n  \
           hint: ciba start --url URL, or ciba token where you are logged in, starts it\n"
    );
    assert_eq!(doctor(&home, &says(VERSION), &[]), Run::new(0, &text, ""));
}

#[test]
fn versions_that_differ_have_a_cure() {
    let updated = home("0.0.1", found(&[]));
    let text = format!(
        "ok socket: HOME/agent.sock\nok program: cibad {VERSION}, HOME/cibad\n\
         warning daemon: cibad 0.0.1 is running, pid 42; {VERSION} is installed\n  hint: ciba restart\n"
    );
    assert_eq!(doctor(&updated, &says(VERSION), &[]), Run::new(0, &text, ""));
    let halved = home("9.9.9", found(&[]));
    let text = format!(
        "ok socket: HOME/agent.sock\nwarning program: cibad 9.9.9, HOME/cibad; this is ciba {VERSION}\n  \
           hint: install ciba and cibad of the same version\nok daemon: cibad 9.9.9 is running, pid 42\n"
    );
    assert_eq!(doctor(&halved, &says("9.9.9"), &[]), Run::new(0, &text, ""));
}

#[test]
fn a_program_that_is_missing_or_another_fails() {
    let missing = Home::empty().ciba(&["doctor"]);
    assert_eq!(missing.status, Some(1));
    assert!(
        missing.stdout.contains("failure program: ")
            && missing
                .stdout
                .contains("\n  hint: install cibad beside ciba or in PATH\n"),
        "{}",
        missing.stdout
    );
    let expected = "failure program: HOME/cibad is not cibad, or does not work here\n";
    for answer in ["echo hello", "exit 0", "echo cibad 1; exit 1"] {
        let run = doctor(&Home::empty(), answer, &[]);
        assert_eq!(run.status, Some(1), "{answer}");
        assert!(run.stdout.contains(expected), "{answer}: {}", run.stdout);
    }
}

#[test]
fn an_old_daemon_is_told_to_be_old() {
    let unknown = json!({"id": 1, "error": {"code": "unknown_op", "message": "unknown \"op\""}});
    let text = format!(
        "{}failure daemon: the running cibad is older than this ciba and cannot do that\n  \
           hint: upgrade cibad, then: ciba restart\n",
        head()
    );
    let run = doctor(&home(VERSION, unknown), &says(VERSION), &[]);
    assert_eq!(run, Run::new(1, &text, "ciba: 1 check failed\n"));
}

#[test]
fn a_daemon_that_does_not_answer_fails() {
    let run = doctor(&home(VERSION, failure("internal")), &says(VERSION), &[]);
    let text = format!("{}failure daemon: no way\n", head());
    assert_eq!(run, Run::new(1, &text, "ciba: 1 check failed\n"));
    let dead = doctor(&Home::with_bytes(""), &says(VERSION), &[]);
    assert!(
        dead.stdout
            .contains("failure daemon: cibad went away before it had answered\n"),
        "{}",
        dead.stdout
    );
}

#[test]
fn i_001_a_socket_that_is_not_private_is_named() {
    let open = home(VERSION, found(&[]));
    fs::set_permissions(open.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let run = doctor(&open, &says(VERSION), &[]);
    let expected = "warning socket: HOME/agent.sock is open to others; only its directory keeps them out\n  \
        hint: chmod 600 HOME/agent.sock\n";
    assert!(run.stdout.starts_with(expected), "{}", run.stdout);

    let planted = home(VERSION, found(&[]));
    fs::set_permissions(planted.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let run = doctor(&planted, &says(VERSION), &[]);
    let expected = "failure socket: will not use the socket in HOME: it is open to others; its mode must be 0700\n  \
        hint: chmod 700 HOME\n";
    assert!(run.stdout.starts_with(expected), "{}", run.stdout);
    assert!(!run.stdout.contains("daemon:"), "{}", run.stdout);
    assert_eq!(run.status, Some(1));
    assert!(planted.is_quiet());
    let mut relative = planted.command(&["doctor"]);
    relative.env("CIBA_SOCKET", "agent.sock");
    assert!(
        finish(relative)
            .stdout
            .starts_with("failure socket: agent.sock is not an absolute path")
    );
}

#[test]
#[cfg(target_os = "linux")]
fn symbols_and_colours_are_for_terminals_that_have_them() {
    let home = home(VERSION, found(&[well(), warning(), unwell()]));
    let on_a_terminal = |variables: &[_]| home.ciba_on_a_terminal(&["doctor"], variables);
    let shown = on_a_terminal(&[("LC_ALL", "C.UTF-8")]);
    for line in [
        "\x1b[1;32m✓\x1b[0m keychain: kernel works\r\n",
        "\x1b[1;33m!\x1b[0m memory: secrets may be swapped\r\n",
        "\x1b[1;31m✗\x1b[0m server of work: https://b: away\u{fffd}[2J\r\n",
    ] {
        assert!(shown.contains(line), "{shown:?}");
    }
    let plain = on_a_terminal(&[("LC_ALL", "C.UTF-8"), ("NO_COLOR", "1")]);
    assert!(
        plain.contains("\n✓ keychain") && !plain.contains('\x1b'),
        "{plain:?}"
    );
    let ascii = on_a_terminal(&[("LC_ALL", "C"), ("NO_COLOR", "1")]);
    assert!(ascii.contains("\nok keychain"), "{ascii:?}");
    let dumb = on_a_terminal(&[("LC_ALL", "C.UTF-8"), ("TERM", "dumb")]);
    assert!(!dumb.contains('\x1b'), "{dumb:?}");
}

#[test]
fn a_closed_pipe_is_silence() {
    let home = home(VERSION, found(&[unwell()]));
    assert_eq!(home.ciba_unread(&["doctor"]), Run::new(0, "", ""));
}

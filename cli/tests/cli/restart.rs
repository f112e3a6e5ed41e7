//! `ciba restart`.

use std::io::Write as _;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Home, Run, finish};

/// How long the old daemon waits for a client that connects too early. A client that waits for the old daemon's end
/// costs as much.
const EARLY: Duration = Duration::from_millis(300);

fn hello(version: &str, pid: u32) -> Value {
    json!({"id": 1, "ok": {"protocol": 1, "version": version, "pid": pid}})
}

/// A daemon that hands over to its own version, as it must when the link to the next one is not what started it.
fn unchanged() -> Home {
    Home::with_daemon(|request, stream| {
        let answer = match request["op"].as_str() {
            Some("hello") => hello("0.1.0", 43),
            _ => json!({"id": 1, "ok": {}}),
        };
        writeln!(stream, "{answer}").unwrap();
    })
}

#[test]
fn a_version_that_is_installed_already_has_not_taken_over() {
    let expected = "cibad 0.1.0 is the installed version already; it has begun anew, pid 43. \
        Every session is kept.\n";
    assert_eq!(unchanged().ciba(&["restart"]), Run::new(0, "", expected));
}

#[test]
fn a_daemon_that_goes_on_as_it_was_is_an_error() {
    let home = unchanged();
    let installed = home.script("cibad", "echo cibad 0.2.0");
    let mut command = home.command(&["restart"]);
    command.env("CIBA_DAEMON", &installed);
    let expected = format!(
        "ciba: cibad 0.1.0 goes on; {} is cibad 0.2.0\nhint: ciba logs\n",
        installed.display()
    );
    assert_eq!(finish(command), Run::new(1, "", &expected));
}

#[test]
fn why_a_program_is_refused_is_said() {
    let home = Home::with_daemon(|request, stream| {
        let answer = match request["op"].as_str() {
            Some("hello") => hello("0.1.0", 43),
            _ => json!({"id": 1, "error": {"code": "busy", "message": "a login is under way"}}),
        };
        writeln!(stream, "{answer}").unwrap();
    });
    assert_eq!(
        home.ciba(&["restart"]),
        Run::new(1, "", "ciba: a login is under way\n")
    );
}

#[test]
fn the_new_daemon_is_asked_once_the_old_one_has_gone() {
    let home = Home::empty();
    let (asked, early) = mpsc::channel();
    let next = home.path().join("next.sock");
    home.serve(&next, move |_, stream| {
        asked.send(()).unwrap();
        writeln!(stream, "{}", hello("0.2.0", 43)).unwrap();
    });
    let socket = home.socket();
    let (tell, was_early) = mpsc::channel();
    home.serve(&home.socket(), move |request, stream| {
        if request["op"] == "hello" {
            return writeln!(stream, "{}", hello("0.1.0", 43)).unwrap();
        }
        std::fs::rename(&next, &socket).unwrap();
        writeln!(stream, "{}", json!({"id": 1, "ok": {}})).unwrap();
        tell.send(early.recv_timeout(EARLY).is_ok()).unwrap();
    });
    let expected = Run::new(
        0,
        "",
        "cibad 0.2.0 has taken over, pid 43. Every session is kept.\n",
    );
    assert_eq!(home.ciba(&["restart"]), expected);
    assert_eq!(was_early.recv(), Ok(false));
    let requests = [home.request(), home.request(), home.request()];
    assert!(
        requests.contains(&json!({"id": 1, "op": "hand_over"})),
        "{requests:?}"
    );
}

#[test]
fn without_a_daemon_there_is_nothing_to_restart() {
    let expected = Run::new(0, "", "Nothing to restart: cibad is not running.\n");
    assert_eq!(Home::empty().ciba(&["restart"]), expected);
}

#[test]
fn a_daemon_that_is_gone_afterwards_is_an_error() {
    let home = Home::empty();
    let socket = home.socket();
    home.serve(&home.socket(), move |request, stream| {
        if request["op"] == "hello" {
            return writeln!(stream, "{}", hello("0.1.0", 43)).unwrap();
        }
        std::fs::remove_file(&socket).unwrap();
        writeln!(stream, "{}", json!({"id": 1, "ok": {}})).unwrap();
    });
    let expected = "ciba: cibad has ended instead of being replaced\nhint: ciba logs\n";
    assert_eq!(home.ciba(&["restart"]), Run::new(1, "", expected));
}

//! `ciba restart`.

use std::io::Write as _;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Home, Run};

/// How long the old daemon waits for a client that is too early. One that waits for its end costs as much.
const EARLY: Duration = Duration::from_millis(300);

#[test]
fn the_new_daemon_is_asked_once_the_old_one_has_gone() {
    let home = Home::empty();
    let (asked, early) = mpsc::channel();
    let next = home.path().join("next.sock");
    home.serve(&next, move |_, stream| {
        asked.send(()).unwrap();
        let hello = json!({"protocol": 1, "version": "0.2.0", "pid": 43});
        writeln!(stream, "{}", json!({"id": 1, "ok": hello})).unwrap();
    });
    let socket = home.socket();
    let (tell, was_early) = mpsc::channel();
    home.serve(&home.socket(), move |_, stream| {
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
    let requests = [home.request(), home.request()];
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
    home.serve(&home.socket(), move |_, stream| {
        std::fs::remove_file(&socket).unwrap();
        writeln!(stream, "{}", json!({"id": 1, "ok": {}})).unwrap();
    });
    let expected = "ciba: cibad has ended instead of being replaced\nhint: ciba logs\n";
    assert_eq!(home.ciba(&["restart"]), Run::new(1, "", expected));
}

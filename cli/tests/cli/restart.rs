//! `ciba restart`.

use std::io::Write as _;

use serde_json::json;

use crate::harness::{Home, Run};

#[test]
fn the_new_daemon_is_asked_once_the_old_one_has_gone() {
    let home = Home::with_daemon(|request, stream| {
        let answer = if request["op"] == "hand_over" {
            json!({})
        } else {
            json!({"protocol": 1, "version": "0.2.0", "pid": 43})
        };
        writeln!(stream, "{}", json!({"id": 1, "ok": answer})).unwrap();
    });
    let expected = Run::new(
        0,
        "",
        "cibad 0.2.0 has taken over, pid 43. Every session is kept.\n",
    );
    assert_eq!(home.ciba(&["restart"]), expected);
    assert_eq!(home.request(), json!({"id": 1, "op": "hand_over"}));
    assert_eq!(home.request()["op"], "hello");
    assert!(home.is_quiet());
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

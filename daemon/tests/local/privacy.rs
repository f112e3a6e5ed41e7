//! What others can learn of the daemon: nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::harness::{Client, Home, wait_until};

#[test]
fn i_002_another_user_is_turned_away_before_a_byte_is_read() {
    let Some(home) = Home::of_a_stranger() else { return };
    home.start();
    // Root passes every directory, so only the daemon's own check is left.
    let mut client = home.connect();
    // The daemon may be faster.
    let _ = std::io::Write::write_all(&mut client.stream(), b"{\"id\":0,\"op\":\"shutdown\"}\n");
    assert_eq!(client.line(), None);
    wait_until("it is written down", || home.log().contains("another user"));
    assert!(home.daemon().unwrap().lives(), "it did not do what it was told");
}

#[test]
fn no_core_and_no_debugger() {
    // As root, root's own processes look the same either way.
    let home = Home::of_a_stranger().unwrap_or_else(Home::new);
    let daemon = home.start();
    let limits = fs::read_to_string(daemon.proc("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let core: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"]);
    // What is not dumpable belongs to root in /proc, so its user can read neither memory nor environment.
    assert_eq!(fs::metadata(daemon.proc("mem")).unwrap().uid(), 0);
}

#[test]
fn the_log_is_private_and_quotes_no_client() {
    const MARK: &str = "xyzzy-4711";
    let home = Home::new();
    let daemon = home.start();
    let mut client = home.connect();
    client.ask(MARK);
    client.ask(&format!(r#"{{"id":"{MARK}","op":"{MARK}"}}"#));
    client.ask(&format!(r#"{{"id":"{MARK}","op":"hello","protocol":"{MARK}"}}"#));
    client.ask(&format!(r#"{{"id":"{MARK}","op":"hello","protocol":99}}"#));
    client.ask(r#"{"id":1,"op":"shutdown"}"#);
    wait_until("it has ended", || !daemon.lives());
    let directory = home.path().join("state/ciba");
    assert_eq!(
        fs::metadata(&directory).unwrap().permissions().mode() & 0o777,
        0o700
    );
    for file in fs::read_dir(directory).unwrap() {
        assert_eq!(
            file.unwrap().metadata().unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let log = home.log();
    assert!(log.contains("left in order"));
    assert!(!log.contains(MARK), "{log}");
}

#[test]
fn the_error_of_a_bad_line_does_not_quote_it() {
    let home = Home::new();
    home.start();
    let mut client = Client::at(&home.socket());
    let answer = client.ask("hunter2");
    let said = json!({ "code": "bad_request", "message": "not a JSON object on one line" });
    assert_eq!(answer, json!({ "id": null, "error": said }));
    assert!(UnixStream::connect(home.socket()).is_ok());
}

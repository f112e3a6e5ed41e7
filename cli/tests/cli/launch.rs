//! Starting `cibad` when it is absent.

use std::io::Write as _;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::harness::{Home, Run, finish, install, started, token};

/// A home whose daemon serves as soon as `cibad` is run, and not before.
fn sleeping(answer: &serde_json::Value) -> (Home, std::path::PathBuf) {
    let home = Home::empty();
    let hidden = home.path().join("hidden.sock");
    let line = format!("{answer}\n");
    home.serve(&hidden, move |_, stream| {
        stream.write_all(line.as_bytes()).unwrap();
    });
    let daemon = home.script(
        "cibad",
        &format!("mv '{}' '{}'", hidden.display(), home.socket().display()),
    );
    (home, daemon)
}

fn run(home: &Home, daemon: &std::path::Path, args: &[&str]) -> Run {
    let mut command = home.command(args);
    command.env("CIBA_DAEMON", daemon);
    finish(command)
}

#[test]
fn token_start_and_stop_wake_the_daemon() {
    let (home, daemon) = sleeping(&token("t"));
    assert_eq!(run(&home, &daemon, &["token"]), Run::new(0, "t\n", ""));
    let (home, daemon) = sleeping(&token("t"));
    assert_eq!(
        run(&home, &daemon, &["--url", "https://c"]),
        Run::new(0, "t\n", "")
    );
    // A keychain may keep the login of a daemon that was killed.
    let (home, daemon) = sleeping(&json!({"id": 1, "ok": {"profiles": ["default"], "daemon_leaves": true}}));
    assert_eq!(
        run(&home, &daemon, &["stop"]),
        Run::new(0, "", "Logged out of default.\n")
    );
    let (home, daemon) = sleeping(&started());
    assert_eq!(
        run(&home, &daemon, &["start", "--url", "https://c"]).status,
        Some(0)
    );
}

#[test]
fn who_only_looks_lets_it_sleep() {
    let (home, daemon) = sleeping(&token("t"));
    for args in [["status"], ["watch"], ["doctor"], ["logs"], ["restart"]] {
        // Asked for its version, it says it and does nothing else.
        let asked = home.script(
            "asked",
            &format!("test \"$1\" = --version || exec '{}'", daemon.display()),
        );
        let _ = run(&home, &asked, &args);
        assert!(!home.socket().exists(), "{args:?}");
    }
}

#[test]
fn a_socket_nobody_serves_counts_as_absent() {
    let (home, daemon) = sleeping(&token("t"));
    drop(std::os::unix::net::UnixListener::bind(home.socket()).unwrap());
    assert_eq!(run(&home, &daemon, &["token"]), Run::new(0, "t\n", ""));
}

/// What lies behind the link is another place with the next version.
#[test]
fn cibad_is_found_beside_the_link_that_ciba_was_started_by() {
    let (home, daemon) = sleeping(&token("t"));
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_ciba"), bin.join("ciba")).unwrap();
    symlink(daemon, bin.join("cibad")).unwrap();
    let mut command = std::process::Command::new("ciba");
    command.arg("token").env_clear().env("CIBA_SOCKET", home.socket());
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    assert_eq!(finish(command), Run::new(0, "t\n", ""));
}

#[test]
fn cibad_is_found_in_the_path() {
    let (home, daemon) = sleeping(&token("t"));
    // A `cibad` beside the tested `ciba` would come first.
    let copy = home.path().join("bin");
    std::fs::create_dir(&copy).unwrap();
    install(
        &std::fs::read(env!("CARGO_BIN_EXE_ciba")).unwrap(),
        &copy.join("ciba"),
    );
    let mut command = std::process::Command::new(copy.join("ciba"));
    command.arg("token").env_clear().env("CIBA_SOCKET", home.socket());
    command.env(
        "PATH",
        format!("{}:/usr/bin:/bin", daemon.parent().unwrap().display()),
    );
    assert_eq!(finish(command), Run::new(0, "t\n", ""));
}

#[test]
fn why_it_did_not_start_is_said() {
    let home = Home::empty();
    let daemon = home.script("cibad", "echo 'cibad: another user owns \x1b[2J/run' >&2; exit 1");
    let expected = Run::new(
        1,
        "",
        "ciba: cibad did not start: another user owns \u{fffd}[2J/run\n",
    );
    assert_eq!(run(&home, &daemon, &["token"]), expected);

    let daemon = home.script("cibad", "exit 7");
    let expected = Run::new(1, "", "ciba: cibad did not start: exit status: 7\n");
    assert_eq!(run(&home, &daemon, &["token"]), expected);

    let daemon = home.script("cibad", "exit 0");
    let expected = Run::new(
        1,
        "",
        "ciba: cibad has started and does not serve at its socket\n",
    );
    assert_eq!(run(&home, &daemon, &["token"]), expected);

    let missing = run(&home, &home.path().join("missing"), &["token"]);
    assert_eq!(missing.status, Some(1));
    assert!(
        missing.stderr.contains("hint: install cibad"),
        "{}",
        missing.stderr
    );
}

#[test]
fn a_daemon_that_keeps_standard_error_open_is_not_waited_for() {
    let (home, daemon) = sleeping(&token("t"));
    let mover = std::fs::read_to_string(&daemon).unwrap();
    let fifo = home.path().join("fifo");
    // The process that stays behind reads a fifo until this test has seen its token.
    let daemon = home.script(
        "cibad",
        &format!("mkfifo '{0}'; cat '{0}' & {mover}", fifo.display()),
    );
    assert_eq!(run(&home, &daemon, &["token"]), Run::new(0, "t\n", ""));
    std::fs::write(fifo, "").unwrap();
}

#[test]
fn an_endless_reason_is_cut() {
    let home = Home::empty();
    let daemon = home.script("cibad", "head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1");
    let run = run(&home, &daemon, &["token"]);
    assert_eq!(run.status, Some(1));
    assert!(run.stderr.len() < 5000, "{}", run.stderr.len());
}

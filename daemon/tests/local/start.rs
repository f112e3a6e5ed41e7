//! How a daemon comes to be the only one, and how it goes.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;

use crate::harness::{Home, STRANGER, SilentServer, wait_until};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn i_001_directory_socket_and_lock_are_private() {
    let home = Home::new();
    home.start();
    assert_eq!(mode(&home.directory()), 0o700);
    assert_eq!(mode(&home.socket()), 0o600);
    assert_eq!(mode(&home.directory().join("agent.lock")), 0o600);
    let socket = fs::symlink_metadata(home.socket()).unwrap();
    assert!(socket.file_type().is_socket());
}

#[test]
fn i_001_a_directory_that_is_a_link_is_refused() {
    let home = Home::new();
    let elsewhere = home.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).unwrap();
    symlink(&elsewhere, home.directory()).unwrap();
    assert_eq!(
        home.start_fails(),
        "cibad: HOME/ciba is not a directory of its own (a file or a symbolic link)\n"
    );
    assert_eq!(
        fs::read_dir(elsewhere).unwrap().count(),
        0,
        "nothing was made there"
    );
}

#[test]
fn i_001_a_directory_open_to_others_is_refused() {
    for open in [0o755, 0o770, 0o701] {
        let home = Home::new();
        home.make_directory(open);
        assert_eq!(
            home.start_fails(),
            "cibad: HOME/ciba is open to others; its mode must be 0700\n"
        );
        assert_eq!(mode(&home.directory()), open, "it is not ours to change");
    }
}

#[test]
fn i_001_a_socket_planted_by_another_user_is_refused() {
    if Home::of_a_stranger().is_none() {
        return;
    }
    let home = Home::new();
    home.make_directory(0o700);
    let _planted = UnixListener::bind(home.socket()).unwrap();
    chown(home.directory(), Some(STRANGER), None).unwrap();
    assert_eq!(home.start_fails(), "cibad: HOME/ciba belongs to another user\n");
    assert!(home.socket().exists());
}

#[test]
fn i_001_ciba_socket_says_where() {
    let home = Home::new();
    let there = home.path().join("there");
    let run = |path: &Path| {
        let mut command = home.cibad();
        command.current_dir(home.path()).env("CIBA_SOCKET", path);
        command.output().unwrap()
    };
    let relative = run(Path::new("there/s"));
    assert_eq!(
        relative.status.code(),
        Some(1),
        "daemon and client may stand elsewhere"
    );
    assert!(!there.exists());
    assert!(run(&there.join("s")).status.success());
    assert_eq!(mode(&there.join("s")), 0o600);
    let mut client = crate::harness::Client::at(&there.join("s"));
    client.ask(r#"{"id":1,"op":"shutdown"}"#);
}

#[test]
fn ten_at_once_become_one_daemon() {
    const RACERS: usize = 10;
    let home = Home::new();
    let racers: Vec<_> = (0..RACERS).map(|_| home.cibad().spawn().unwrap()).collect();
    for mut racer in racers {
        assert!(racer.wait().unwrap().success());
    }
    let pid = home.connect().hello()["ok"]["pid"].clone();
    assert_eq!(pid, home.daemon().unwrap().0);
    let count = |what| home.log().matches(what).count();
    wait_until("the others have left", || count("serves already") == RACERS - 1);
    assert_eq!(count("serving pid="), 1);
}

#[test]
fn a_stale_socket_is_replaced() {
    let home = Home::new();
    home.make_directory(0o700);
    drop(UnixListener::bind(home.socket()).unwrap());
    assert!(home.socket().exists());
    home.start();
    assert_eq!(mode(&home.socket()), 0o600);
    assert!(home.connect().hello()["ok"].is_object());
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let home = Home::new();
    home.make_directory(0o700);
    fs::write(home.socket(), "mine").unwrap();
    assert_eq!(
        home.start_fails(),
        "cibad: HOME/ciba/agent.sock is in the way: it is no socket\n"
    );
    assert_eq!(fs::read_to_string(home.socket()).unwrap(), "mine");
}

#[test]
fn a_lock_that_is_a_link_is_not_followed() {
    let home = Home::new();
    home.make_directory(0o700);
    let target = home.path().join("precious");
    fs::write(&target, "mine").unwrap();
    symlink(&target, home.directory().join("agent.lock")).unwrap();
    assert!(
        home.start_fails()
            .starts_with("cibad: HOME/ciba/agent.lock cannot be locked")
    );
    assert_eq!(fs::read_to_string(target).unwrap(), "mine");
}

#[test]
fn a_killed_daemon_leaves_nothing_that_stops_the_next() {
    let home = Home::new();
    let first = home.start();
    let server = SilentServer::new();
    let mut waiter = home.connect();
    waiter.wait_for(&server, "a");
    waiter.hello();
    first.signal(Signal::KILL);
    assert_eq!(waiter.line(), None, "a waiting client is not left hanging");
    let second = home.start();
    assert_ne!(first, second);
    assert_eq!(home.connect().hello()["ok"]["pid"], second.0);
}

#[test]
fn a_daemon_that_does_not_answer_is_named() {
    let home = Home::new();
    let daemon = home.start();
    daemon.signal(Signal::STOP);
    let reason = home.start_fails();
    daemon.signal(Signal::CONT);
    let pid = daemon.0;
    assert_eq!(
        reason,
        format!("cibad: another cibad (pid {pid}) holds the lock but does not answer\n")
    );
}

#[test]
fn shutdown_leaves_no_socket_and_no_process() {
    let home = Home::new();
    let daemon = home.start();
    let server = SilentServer::new();
    let mut waiter = home.connect();
    waiter.wait_for(&server, "a");
    waiter.hello();
    let mut client = home.connect();
    assert_eq!(
        client.ask(r#"{"id":1,"op":"shutdown"}"#).to_string(),
        r#"{"id":1,"ok":{}}"#
    );
    let failure = waiter.line().expect("a word to who waits");
    assert_eq!(failure["id"], "a");
    assert_eq!(failure["error"]["code"], "leaving");
    assert_eq!(failure["error"]["message"], "cibad is shutting down");
    assert_eq!(waiter.line(), None);
    wait_until("it has ended", || !daemon.lives());
    assert!(!home.socket().exists());
}

#[test]
fn a_signal_ends_it_in_order_and_a_hangup_does_not() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let daemon = home.start();
        daemon.signal(Signal::HUP);
        assert!(home.connect().hello()["ok"].is_object());
        daemon.signal(signal);
        wait_until("it has ended", || !daemon.lives());
        assert!(!home.socket().exists());
        assert!(home.log().contains("left in order"));
    }
}

#[test]
fn in_the_foreground_it_stays_and_logs_to_stderr() {
    let home = Home::new();
    let mut child = home
        .cibad()
        .arg("--foreground")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("it serves", || home.socket().exists() && home.daemon().is_some());
    assert_eq!(home.daemon().unwrap().0, child.id().cast_signed());
    let second = home.cibad().output().unwrap();
    assert!(
        second.status.success(),
        "somebody serves, which is what was asked"
    );
    home.connect().ask(r#"{"id":1,"op":"shutdown"}"#);
    assert!(child.wait().unwrap().success());
    let log = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    assert!(log.contains("serving"), "{log}");
}

/// As launchd starts it.
#[test]
fn in_the_foreground_with_nobody_to_read_stderr_it_logs_to_its_file() {
    let home = Home::new();
    let mut cibad = home.cibad();
    let mut child = cibad.arg("--foreground").stderr(Stdio::null()).spawn().unwrap();
    wait_until("it is written down", || home.log().contains("serving"));
    home.connect().ask(r#"{"id":1,"op":"shutdown"}"#);
    assert!(child.wait().unwrap().success());
}

#[test]
fn it_holds_nothing_of_its_caller() {
    let home = Home::new();
    let theirs = home.path().join("theirs");
    let script = format!(
        "exec 9>{}; exec {}",
        theirs.display(),
        env!("CARGO_BIN_EXE_cibad")
    );
    let mut shell = home.run("sh");
    shell.args(["-c", &script]).current_dir(home.path());
    assert!(shell.output().unwrap().status.success());
    let daemon = home.daemon().unwrap();
    for descriptor in fs::read_dir(daemon.proc("fd")).unwrap() {
        let target = fs::read_link(descriptor.unwrap().path()).unwrap_or_default();
        assert_ne!(target, theirs);
    }
    assert_eq!(fs::read_link(daemon.proc("cwd")).unwrap(), Path::new("/"));
    let stat = fs::read_to_string(daemon.proc("stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!(fields[3], daemon.0.to_string(), "a session of its own");
    assert_eq!(fields[4], "0", "no terminal");
}

//! I-001 and I-002: what stands where the socket should be is trusted only when it is the user's own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::harness::{COMMANDS, Home, Run, finish, install, token};

/// Tries every command with this socket: each fails and says why, and the daemon gets no byte.
fn refused(home: &Home, socket: &Path, status: i32, is_reason: impl Fn(&str) -> bool) {
    for args in COMMANDS {
        let mut command = home.command(args);
        command.current_dir(home.path()).env("CIBA_SOCKET", socket);
        let run = finish(command);
        assert_eq!((run.status, run.stdout.as_str()), (Some(status), ""), "{args:?}");
        assert!(is_reason(&run.stderr), "{args:?}: {}", run.stderr);
    }
    assert!(home.is_quiet());
}

#[test]
fn i_001_a_directory_open_to_others_gets_no_byte() {
    for mode in [0o755, 0o770, 0o701, 0o777] {
        let home = Home::with_lines(&[token("planted")]);
        fs::set_permissions(home.path(), fs::Permissions::from_mode(mode)).unwrap();
        let directory = home.path().display();
        let expected = format!(
            "ciba: will not use the socket in {directory}: it is open to others; its mode must be 0700\n\
             hint: chmod 700 {directory}\n"
        );
        refused(&home, &home.socket(), 1, |reason| reason == expected);
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn i_001_a_link_to_a_directory_gets_no_byte() {
    let home = Home::with_lines(&[token("planted")]);
    let elsewhere = Home::empty();
    let link = elsewhere.path().join("ciba");
    symlink(home.path(), &link).unwrap();
    refused(&home, &link.join("agent.sock"), 1, |reason| {
        reason.contains("is not a directory of its own")
    });
}

#[test]
fn i_001_no_daemon_is_started_into_a_directory_that_is_not_trusted() {
    let home = Home::empty();
    let ran = home.path().join("ran");
    let daemon = home.script("cibad", &format!("touch '{}'", ran.display()));
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = home.command(&["token"]);
    command.env("CIBA_DAEMON", daemon);
    assert_eq!(finish(command).status, Some(1));
    assert!(!ran.exists());
}

/// Another user than the one who runs the tests.
const NOBODY: u32 = 65534;

/// Only root can give things away; elsewhere these two tests have nothing to look at.
fn can_give_away() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn i_001_a_directory_of_another_user_gets_no_byte() {
    if !can_give_away() {
        return;
    }
    let home = Home::with_lines(&[token("planted")]);
    chown(home.path(), Some(NOBODY), None).unwrap();
    refused(&home, &home.socket(), 1, |reason| {
        reason.ends_with(": it belongs to another user\n")
    });
}

#[test]
fn i_002_a_daemon_of_another_user_gets_no_byte() {
    if !can_give_away() {
        return;
    }
    let home = Home::with_lines(&[token("planted")]);
    let ciba = home.path().join("ciba");
    install(&fs::read(env!("CARGO_BIN_EXE_ciba")).unwrap(), &ciba);
    for path in [home.path(), &home.socket(), &ciba] {
        chown(path, Some(NOBODY), None).unwrap();
    }
    for args in COMMANDS {
        let mut command = Command::new(&ciba);
        command
            .args(args)
            .env_clear()
            .env("CIBA_SOCKET", home.socket())
            .uid(NOBODY)
            .current_dir("/");
        let expected = "ciba: the process behind the socket belongs to another user\n";
        assert_eq!(finish(command), Run::new(1, "", expected), "{args:?}");
    }
    assert!(home.is_quiet());
}

#[test]
fn i_001_a_relative_path_is_refused() {
    let home = Home::with_lines(&[token("near")]);
    refused(&home, Path::new("agent.sock"), 2, |reason| {
        reason.contains("not an absolute path")
    });
}

//! I-001 and I-002: what stands where the socket should be is trusted only when it is the user's own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::harness::{Home, finish, token};

/// Every command that talks to the daemon.
const COMMANDS: [&[&str]; 6] = [
    &["token"],
    &["status"],
    &["stop"],
    &["watch"],
    &["start", "--url", "https://c"],
    &["--url", "https://c"],
];

#[test]
fn i_001_a_directory_open_to_others_gets_no_byte() {
    for mode in [0o755, 0o770, 0o701, 0o777] {
        let home = Home::with_lines(&[token("planted")]);
        fs::set_permissions(home.path(), fs::Permissions::from_mode(mode)).unwrap();
        for args in COMMANDS {
            let run = home.ciba(args);
            assert_eq!(
                (run.status, run.stdout.as_str()),
                (Some(1), ""),
                "{mode:o} {args:?}"
            );
            let directory = home.path().display();
            let expected = format!(
                "ciba: will not use the socket in {directory}: it is open to others; its mode must be 0700\n\
                 hint: chmod 700 {directory}\n"
            );
            assert_eq!(run.stderr, expected);
        }
        assert!(home.is_quiet());
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn i_001_a_link_to_a_directory_gets_no_byte() {
    let home = Home::with_lines(&[token("planted")]);
    let elsewhere = Home::empty();
    let link = elsewhere.path().join("ciba");
    symlink(home.path(), &link).unwrap();
    for args in COMMANDS {
        let mut command = home.command(args);
        command.env("CIBA_SOCKET", link.join("agent.sock"));
        let run = finish(command);
        assert_eq!((run.status, run.stdout.as_str()), (Some(1), ""), "{args:?}");
        assert!(
            run.stderr.contains("is not a directory of its own"),
            "{}",
            run.stderr
        );
    }
    assert!(home.is_quiet());
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

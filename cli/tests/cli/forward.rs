//! `ciba forward`: two clients, one of which stands for the other machine's.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;

use crate::exec::{Ended, until};
use crate::harness::{Home, Run, finish, token};

/// Starts forwarding, and returns the socket that it prints.
fn forwarding(home: &Home, arguments: &[&str]) -> (Ended, PathBuf) {
    let mut command = home.command(&[&["forward"], arguments].concat());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = child.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    (Ended(child), PathBuf::from(line.trim_end()))
}

fn far(home: &Home, socket: &Path, arguments: &[&str]) -> Run {
    let mut command = home.command(arguments);
    command.env("CIBA_SOCKET", socket);
    finish(command)
}

#[test]
fn tokens_of_named_resources_pass_and_nothing_else() {
    let home = Home::with_lines(&[token("abc")]);
    let (_near, socket) = forwarding(&home, &["--resource", "urn:d:git", "--resource", "urn:d:x"]);
    let mode = socket.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    for (arguments, resource) in [
        (&["token"][..], "urn:d:git"),
        (&["token", "--resource", "urn:d:x"], "urn:d:x"),
    ] {
        assert_eq!(far(&home, &socket, arguments), Run::new(0, "abc\n", ""));
        assert_eq!(
            home.request(),
            json!({"id": 1, "op": "token", "resource": resource, "tool": "forward"})
        );
    }
    for arguments in [
        &["token", "--resource", "urn:d:other"][..],
        &["token", "--profile", "work"],
        &["token", "--min-valid", "1h"],
        &["status"],
        &["stop", "--all"],
        &["watch"],
        &["start", "--url", "https://c", "--no-browser"],
        &["add", "--resource", "urn:d:git"],
        &["curlrc", "https://git.example.com/"],
    ] {
        let run = far(&home, &socket, arguments);
        assert_eq!(
            (run.status, run.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}: {}",
            run.stderr
        );
    }
    assert!(home.is_quiet(), "the daemon heard of none of these");
}

#[test]
fn i_001_the_far_directory_has_to_be_the_persons_own() {
    let home = Home::with_lines(&[token("abc")]);
    let open = home.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let refused = home.ciba(&[
        "forward",
        "--resource",
        "urn:d:git",
        "--socket",
        open.join("s").to_str().unwrap(),
    ]);
    assert_eq!(refused.status, Some(1));
    assert!(refused.stderr.contains("chmod 700"), "{}", refused.stderr);
}

#[test]
fn the_socket_goes_with_its_process_and_its_time() {
    let home = Home::with_lines(&[token("abc")]);
    let (mut near, socket) = forwarding(&home, &["--resource", "urn:d:git"]);
    near.0.kill().unwrap();
    near.0.wait().unwrap();
    until("the socket to go", || !socket.exists());

    let place = home.path().join("far/s");
    let arguments = [
        "--resource",
        "urn:d:git",
        "--for",
        "0",
        "--socket",
        place.to_str().unwrap(),
    ];
    let (mut near, socket) = forwarding(&home, &arguments);
    assert_eq!(socket, place);
    assert_eq!(near.0.wait().unwrap().code(), Some(0));
    until("the socket to go", || !socket.exists());
}

#[test]
fn i_007_a_far_client_that_breaks_the_protocol_is_told_and_one_too_many_as_well() {
    let home = Home::with_lines(&[token("abc")]);
    let (_near, socket) = forwarding(&home, &["--resource", "urn:d:git"]);
    let mut client = UnixStream::connect(&socket).unwrap();
    client.write_all(b"noise\n{\"id\":7,\"op\":\"fly\"}\n").unwrap();
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
    for id in ["null", "7"] {
        let line = lines.next().unwrap().unwrap();
        assert!(
            line.contains(&format!("\"id\":{id},")) && line.contains("bad_request"),
            "{line}"
        );
    }
    let others: Vec<_> = (0..15).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let mut last = UnixStream::connect(&socket).unwrap();
    let mut told = String::new();
    last.read_to_string(&mut told).unwrap();
    assert!(told.contains("\"busy\""), "{told}");
    drop(others);
    drop(client);
    drop(lines);
    until("a place", || far(&home, &socket, &["token"]).status == Some(0));
}

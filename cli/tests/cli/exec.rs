//! `ciba exec`.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use crate::harness::{HUNG, Home, Run, token};
use std::io::Write as _;

/// Waits for a condition.
#[expect(
    clippy::disallowed_methods,
    reason = "what is waited for tells no process; the deadline is above"
)]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + HUNG;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Ends a process of a test that fails.
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sleeping(home: &Home, arguments: &[&str]) -> Ended {
    let mut command = home.command(&[&["exec"], arguments, &["--", "sleep", "600"]].concat());
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let comm = format!("/proc/{}/comm", child.id());
    let child = Ended(child);
    until("the program", || {
        fs::read_to_string(&comm).is_ok_and(|name| name == "sleep\n")
    });
    child
}

fn is_token_file(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name.starts_with("token-")
}

fn token_files(home: &Home) -> usize {
    let entries = fs::read_dir(home.path()).unwrap();
    entries
        .filter(|entry| is_token_file(&entry.as_ref().unwrap().path()))
        .count()
}

#[test]
fn a_program_has_the_token_in_its_environment() {
    let home = Home::with_lines(&[token("abc")]);
    let program = [
        "sh",
        "-c",
        "printf %s \"$CIBA_TOKEN$MINE$CIBA_TOKEN_FILE\"; exit 7",
    ];
    for (options, expected) in [
        (&[][..], json!({"id": 1, "op": "token", "tool": "exec"})),
        (
            &["--resource", "urn:d:x", "--env", "MINE"],
            json!({"id": 1, "op": "token", "resource": "urn:d:x", "tool": "exec"}),
        ),
    ] {
        let run = home.ciba(&[&["exec"], options, &["--"], &program].concat());
        assert_eq!(run, Run::new(7, "abc", ""));
        assert_eq!(home.request(), expected);
    }
    assert_eq!(
        home.ciba(&[&["exec"], &program[..]].concat()),
        Run::new(7, "abc", "")
    );
}

#[test]
fn the_program_takes_the_place_of_ciba_with_every_signal() {
    let home = Home::with_lines(&[token("abc")]);
    for signal in ["TERM", "HUP", "INT", "KILL"] {
        let line = format!("kill -{signal} $$; sleep 600");
        let mut command = home.command(&["exec", "--", "sh", "-c", &line]);
        let status = command.status().unwrap();
        assert!(status.signal().is_some(), "{signal}: {status}");
    }
    let home = Home::with_lines(&[token("abc")]);
    let child = sleeping(&home, &[]);
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", child.0.id())).unwrap();
    assert_eq!(arguments, "sleep\x00600\0", "no token, and no process beside it");
}

#[test]
fn a_program_that_cannot_be_run_has_the_status_of_env() {
    let home = Home::with_lines(&[token("abc")]);
    let missing = home.ciba(&["exec", "--", "/nonexistent/program"]);
    assert_eq!((missing.status, missing.stdout.as_str()), (Some(127), ""));
    assert!(
        missing
            .stderr
            .starts_with("ciba: /nonexistent/program cannot be run")
    );
    let directory = home.ciba(&["exec", "--", "/"]);
    assert_eq!(directory.status, Some(126));
}

#[test]
fn no_program_runs_without_a_token() {
    for (lines, status) in [
        (vec![crate::harness::failure("not_logged_in")], 3),
        (vec![token("a\nb")], 1),
    ] {
        let home = Home::with_lines(&lines);
        let run = home.ciba(&["exec", "--refresh-file", "--", "touch", "ran"]);
        assert_eq!(run.status, Some(status));
        assert_eq!(token_files(&home), 0);
    }
    let home = Home::empty();
    assert_eq!(home.ciba(&["exec", "--env", "A=B", "--", "true"]).status, Some(2));
    assert_eq!(home.ciba(&["exec"]).status, Some(2));
}

#[test]
fn a_file_is_kept_current_and_goes_with_the_program() {
    let asked = AtomicBool::new(false);
    let home = Home::with_daemon(move |_, stream| {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let mut answer = token("two");
        if !asked.swap(true, Ordering::Relaxed) {
            answer = token("one");
            answer["ok"]["expires_at"] = json!(now + 2);
        }
        let _ = stream.write_all(format!("{answer}\n").as_bytes());
    });
    let program = "stat -c %a \"$CIBA_TOKEN_FILE\"; cat \"$CIBA_TOKEN_FILE\"; \
        while [ \"$(cat \"$CIBA_TOKEN_FILE\")\" = one ]; do sleep 0.02; done; cat \"$CIBA_TOKEN_FILE\"; exit 7";
    let run = home.ciba(&[
        "exec",
        "--refresh-file",
        "--resource",
        "urn:d:x",
        "--",
        "sh",
        "-c",
        program,
    ]);
    assert_eq!(run, Run::new(7, "600\nonetwo", ""));
    assert_eq!(home.request(), home.request(), "both questions name the resource");
    until("the file to go", || token_files(&home) == 0);
}

#[test]
fn a_file_goes_with_a_program_that_is_killed() {
    let home = Home::with_lines(&[token("abc")]);
    let mut child = sleeping(&home, &["--refresh-file"]);
    assert_eq!(token_files(&home), 1);
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    until("the file to go", || token_files(&home) == 0);
}

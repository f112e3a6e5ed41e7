//! `ciba logs`.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use crate::harness::{HUNG, Home, Run, finish};

/// Puts log files where the daemon would.
fn written(home: &Home, files: &[(&str, &str)]) -> PathBuf {
    let directory = home.path().join("state/ciba");
    fs::create_dir_all(&directory).unwrap();
    for (name, text) in files {
        fs::write(directory.join(name), text).unwrap();
    }
    directory
}

fn command(home: &Home, args: &[&str]) -> Command {
    let mut command = home.command(args);
    command
        .env("XDG_STATE_HOME", home.path().join("state"))
        .env("HOME", home.path().join("state/ciba/ciba-home"));
    command
}

/// A `ciba logs` that follows a log with one line in it.
fn following(option: &str) -> (Home, PathBuf, Child) {
    let home = Home::empty();
    let directory = written(&home, &[("cibad.2026-11-21.log", "old\n")]);
    let mut command = command(&home, &["logs", option]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (home, directory, child)
}

fn logs(home: &Home, args: &[&str]) -> Run {
    finish(command(home, &[&["logs"], args].concat()))
}

#[test]
#[cfg(target_os = "linux")]
fn the_last_lines_are_shown_from_the_newest_files() {
    let home = Home::empty();
    written(
        &home,
        &[
            ("cibad.2026-11-20.log", "a\nb\n"),
            ("cibad.2026-11-21.log", "c\n"),
            ("cibad.2026-11-22.log", "d\x1b[2J\ne\n"),
            ("other.log", "x\n"),
        ],
    );
    assert_eq!(logs(&home, &[]), Run::new(0, "a\nb\nc\nd\u{fffd}[2J\ne\n", ""));
    assert_eq!(
        logs(&home, &["-n", "4"]),
        Run::new(0, "b\nc\nd\u{fffd}[2J\ne\n", "")
    );
    assert_eq!(logs(&home, &["--lines", "1"]), Run::new(0, "e\n", ""));
    assert_eq!(logs(&home, &["-n", "0"]), Run::new(0, "", ""));
    assert_eq!(logs(&home, &["-n", "many"]).status, Some(2));
}

#[test]
#[cfg(target_os = "linux")]
fn without_a_log_it_says_where_one_may_be() {
    let home = Home::empty();
    let run = logs(&home, &[]);
    assert_eq!(run.status, Some(1));
    let expected = format!(
        "ciba: there is no log in {}/state/ciba\nhint: a daemon that systemd runs writes to: journalctl --user --unit cibad\n",
        home.path().display()
    );
    assert_eq!(run.stderr, expected);
    let homeless = home.ciba(&["logs"]);
    assert_eq!((homeless.status, homeless.stdout.as_str()), (Some(2), ""));
}

#[test]
#[cfg(target_os = "linux")]
fn follow_shows_what_is_written_also_on_the_next_day() {
    let (_home, directory, mut child) = following("-f");
    let (said, shown) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| said.send(line)));
    let next = || shown.recv_timeout(HUNG).unwrap();
    assert_eq!(next(), "old");
    let mut today = OpenOptions::new()
        .append(true)
        .open(directory.join("cibad.2026-11-21.log"))
        .unwrap();
    write!(today, "half").unwrap();
    writeln!(today, " and half").unwrap();
    assert_eq!(next(), "half and half");
    writeln!(today, "late").unwrap();
    let mut tomorrow = File::create(directory.join("cibad.2026-11-22.log")).unwrap();
    writeln!(tomorrow, "early").unwrap();
    assert_eq!([next(), next()], ["late", "early"]);
    writeln!(tomorrow, "more").unwrap();
    assert_eq!(next(), "more");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn a_pipe_that_is_closed_ends_it() {
    let (_home, directory, mut child) = following("--follow");
    let mut shown = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    shown.read_line(&mut line).unwrap();
    drop(shown);
    // One line may still be taken: a process that another test is just making has the pipe's other end as well.
    let newer = directory.join("cibad.2026-11-22.log");
    let mut newer = File::create(newer).unwrap();
    while child.try_wait().unwrap().is_none() {
        writeln!(newer, "new").unwrap();
        thread::yield_now();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &[][..])
    );
}

//! `ciba audit`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use crate::harness::{HUNG, Home};

fn entry(tool: &str) -> String {
    format!(
        "{{\"time\":\"2026-01-31T12:00:00Z\",\"tool\":\"{tool}\",\"resource\":\"urn:d:x\",\"profile\":\"default\",\
         \"serial\":1}}\n"
    )
}

#[test]
#[cfg(target_os = "linux")]
fn follow_shows_each_token_that_is_handed_out_also_in_the_next_file() {
    let home = Home::empty();
    let directory = home.path().join("state/ciba");
    fs::create_dir_all(&directory).unwrap();
    let audit = directory.join("audit.jsonl");
    fs::write(&audit, entry("old") + &entry("git")).unwrap();
    let mut command = home.command(&["audit", "--follow", "-n", "1"]);
    command.env("XDG_STATE_HOME", home.path().join("state"));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let (said, shown) = mpsc::channel();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| said.send(line)));
    let next = || {
        let line = shown.recv_timeout(HUNG).unwrap();
        line.split("  ").nth(1).unwrap().to_owned()
    };
    assert_eq!(next(), "git");
    fs::write(&audit, entry("old") + &entry("git") + &entry("curl")).unwrap();
    assert_eq!(next(), "curl");
    fs::rename(&audit, directory.join("audit.jsonl.1")).unwrap();
    fs::write(&audit, entry("cargo")).unwrap();
    assert_eq!(next(), "cargo");
    child.kill().unwrap();
    child.wait().unwrap();
}

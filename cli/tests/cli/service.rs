//! `ciba service`, with a `systemctl` that says yes. `tests/real` has the real one.

#![cfg(target_os = "linux")]

use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;

use serde_json::{Value, json};

use crate::harness::{Home, Run, finish};

/// A home whose daemon, which no service manager started, has these logins. It leaves when it is asked to.
fn with_logins(profiles: Value) -> Home {
    let home = Home::empty();
    let directory = home.path().join("ciba");
    DirBuilder::new().mode(0o700).create(&directory).unwrap();
    home.serve(&directory.join("agent.sock"), move |request, stream| {
        let answer = match request["op"].as_str() {
            Some("status") => {
                json!({"version": "0.1.0", "pid": 42, "memory_locked": true, "profiles": profiles})
            }
            _ => json!({}),
        };
        writeln!(stream, "{}", json!({"id": 1, "ok": answer})).unwrap();
    });
    home
}

fn login(profile: &str, keychain: &str) -> Value {
    json!({"profile": profile, "url": "https://c", "state": "active", "link": "connected", "tokens": [],
        "kept": {"keychain": keychain}})
}

fn service(home: &Home, args: &[&str]) -> Run {
    home.script("systemctl", "case \"$*\" in *is-active*) exit 1; esac");
    let daemon = home.script("cibad", "echo cibad 0.1.0");
    let mut command = home.command(&[&["service"], args].concat());
    command
        .env_remove("CIBA_SOCKET")
        .env("CIBA_DAEMON", daemon)
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env("PATH", format!("{}:/usr/bin:/bin", home.path().display()));
    finish(command)
}

#[test]
fn a_login_that_nothing_keeps_is_not_ended_unasked() {
    let home = with_logins(json!([login("kept", "kernel"), login("work", "memory")]));
    let refused = "ciba: the running cibad would end, and logins with it that no keychain keeps: work\n\
        hint: keep them: ciba doctor; or lose them: ciba service install --force\n";
    assert_eq!(service(&home, &["install"]), Run::new(1, "", refused));
    assert_eq!(home.request()["op"], "status");
    assert!(home.is_quiet());
    assert!(!home.path().join(".config").exists());

    let forced = service(&home, &["install", "--force"]);
    assert_eq!(forced.status, Some(0), "{}", forced.stderr);
    assert_eq!(home.request()["op"], "shutdown");

    let undone = service(&home, &["uninstall"]);
    let refused = refused.replace("install --force", "uninstall --force");
    assert_eq!(undone, Run::new(1, "", &refused));
}

#[test]
fn a_login_that_a_keychain_keeps_is_no_reason_to_wait() {
    let home = with_logins(json!([login("kept", "kernel")]));
    let installed = service(&home, &["install"]);
    assert_eq!(installed.status, Some(0), "{}", installed.stderr);
    assert!(
        installed
            .stderr
            .starts_with("asked the running cibad to leave; it resumes from the keychain\n")
    );
}

//! Helpers as whole programs, for tools that no test here can run.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::Home;

fn credential() -> Value {
    json!({"id": 1, "ok": {
        "access_token": "abc", "token_type": "Bearer", "resource": "urn:d:x", "expires_at": 1_999_999_999,
        "scheme": "auto", "username": "oauth2", "serial": 7,
    }})
}

/// Runs a helper with this on its standard input.
fn helper(home: &Home, words: &[&str], said: &str) -> (Option<i32>, String) {
    let mut command = home.command(words);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // A helper that needs no input may have ended.
    let _ = child.stdin.take().unwrap().write_all(said.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn bazel_has_headers_and_their_end() {
    let home = Home::with_lines(&[credential()]);
    let answer = helper(
        &home,
        &["bazel-credential", "get"],
        r#"{"uri":"https://b.example.com/x"}"#,
    );
    let expected =
        "{\"headers\":{\"Authorization\":[\"Bearer abc\"]},\"expires\":\"2033-05-18T03:33:09Z\"}\n";
    assert_eq!(answer, (Some(0), expected.into()));
    let asked = home.request();
    assert_eq!(
        (&asked["op"], &asked["url"], &asked["tool"]),
        (
            &json!("credential"),
            &json!("https://b.example.com/x"),
            &json!("bazel")
        )
    );
}

#[test]
fn without_a_rule_each_tool_hears_so_in_its_own_way() {
    let no_rule = json!({"id": 1, "error": {"code": "no_rule", "message": "no rule names this host"}});
    let home = Home::with_lines(&[no_rule]);
    let none = "credentials not found in native keychain\n";
    let unsupported = "{\"v\":[1]}\n{\"Err\":{\"kind\":\"url-not-supported\"}}\n";
    let get = "{\"v\":1,\"kind\":\"get\",\"registry\":{\"index-url\":\"sparse+https://h/\"}}\n";
    for (words, said, status, printed) in [
        (&["bazel-credential", "get"][..], r#"{"uri":"https://h"}"#, 1, ""),
        (&["docker-credential", "get"], "h", 1, none),
        (&["cargo-credential", "--cargo-plugin"], get, 0, unsupported),
        (&["keyring", "get", "https://h/simple/", "oauth2"], "", 1, ""),
    ] {
        assert_eq!(
            helper(&home, words, said),
            (Some(status), printed.into()),
            "{words:?}"
        );
    }
}

#[test]
fn docker_may_log_in_and_out_without_a_daemon() {
    let home = Home::empty();
    for (action, printed) in [("store", ""), ("erase", ""), ("list", "{}\n")] {
        let words = ["docker-credential", action];
        assert_eq!(helper(&home, &words, "h"), (Some(0), printed.into()), "{action}");
    }
}

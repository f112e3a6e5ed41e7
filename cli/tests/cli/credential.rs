//! Helpers as whole programs, for tools that no test here can run.

use std::io::Write as _;
use std::process::{Command, Stdio};

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
    spoken(home.command(words), said).0
}

/// The same, and what it writes to standard error.
fn spoken(mut command: Command, said: &str) -> ((Option<i32>, String), String) {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A helper that needs no input may have ended.
    let _ = child.stdin.take().unwrap().write_all(said.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    ((output.status.code(), text(output.stdout)), text(output.stderr))
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
fn a_broken_configuration_is_said_in_one_line_and_no_tool_asks_for_a_password() {
    let broken = json!({"id": 1, "error": {"code": "bad_configuration", "message": "line 2 is wrong",
        "hint": "ciba config check"}});
    let configuration = json!({"id": 1, "ok": {"problem": "line 2 is wrong", "rules": []}});
    let line = "line 2 is wrong; hint: ciba config check";
    let get = "{\"v\":1,\"kind\":\"get\",\"registry\":{\"index-url\":\"sparse+https://h/\"}}\n";
    let kube = "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\
        \"spec\":{\"cluster\":{\"server\":\"https://h\"}}}";
    for (words, said, status, printed) in [
        (
            &["git-credential", "get"][..],
            "protocol=https\nhost=h\n",
            1,
            "quit=1\n".to_owned(),
        ),
        (
            &["bazel-credential", "get"],
            r#"{"uri":"https://h"}"#,
            1,
            String::new(),
        ),
        (&["docker-credential", "get"], "h", 1, format!("{line}\n")),
        (
            &["cargo-credential", "--cargo-plugin"],
            get,
            0,
            format!(
                "{{\"v\":[1]}}\n{{\"Err\":{{\"caused-by\":[],\"kind\":\"other\",\"message\":\"{line}\"}}}}\n"
            ),
        ),
        (
            &["keyring", "get", "https://h/simple/", "oauth2"],
            "",
            1,
            String::new(),
        ),
        (&["kube-credential"], "", 1, String::new()),
        (&["goauth"], "", 1, String::new()),
    ] {
        let answer = if words == ["goauth"] {
            &configuration
        } else {
            &broken
        };
        let home = Home::with_lines(std::slice::from_ref(answer));
        let mut command = home.command(words);
        command.env("KUBERNETES_EXEC_INFO", kube);
        let (output, errors) = spoken(command, said);
        let is_cargo = words[0] == "cargo-credential";
        // JSON has no order of members.
        let read = |text: &str| -> Vec<serde_json::Value> {
            let lines = text.lines().filter(|_| is_cargo);
            lines.map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        assert_eq!(
            (output.0, read(&output.1)),
            (Some(status), read(&printed)),
            "{words:?}"
        );
        assert!(is_cargo || output.1 == printed, "{words:?}: {}", output.1);
        assert!(
            is_cargo || errors.starts_with("ciba: ") && errors.ends_with(&format!("{line}\n")),
            "{errors}"
        );
        assert!(errors.lines().count() <= 1, "{errors}");
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

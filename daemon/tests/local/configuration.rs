//! What the user's configuration changes, at start and while the daemon runs.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Home, wait_until};

const STATUS: &str = r#"{"id":1,"op":"status"}"#;
const DIAGNOSE: &str = r#"{"id":1,"op":"diagnose"}"#;
const START: &str = r#"{"id":1,"op":"start","url":"http://127.0.0.1:9"}"#;

fn configure(home: &Home, text: &str) {
    let folder = home.path().join(".config/ciba");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), text).unwrap();
}

fn problem(home: &Home) -> Value {
    home.connect().ask(STATUS)["ok"]["configuration"].clone()
}

/// Returns what `diagnose` says of the configuration.
fn checks(home: &Home) -> Vec<Value> {
    let answer = home.connect().ask(DIAGNOSE);
    let checks = answer["ok"]["checks"].as_array().unwrap().iter();
    checks
        .filter(|check| check["name"] == "configuration")
        .cloned()
        .collect()
}

#[test]
fn a_file_that_is_wrong_stops_nobody_and_is_told_until_it_is_mended() {
    let home = Home::new();
    configure(&home, "[daemon]\nnotification = false\n");
    let daemon = home.start();
    let told = format!(
        "{}: line 2, column 1: unknown key `notification`; did you mean `notifications`?; the defaults hold",
        home.path().join(".config/ciba/config.toml").display()
    );
    assert_eq!(problem(&home), json!(told));
    assert_eq!(checks(&home)[0]["verdict"], "warning");
    assert_eq!(checks(&home)[0]["message"], json!(told));
    wait_until("it is written down", || {
        let log = home.log();
        log.contains("WARN") && log.contains("the configuration is not used")
    });

    configure(&home, "[daemon]\nnotifications = false\n");
    daemon.signal(Signal::HUP);
    wait_until("it is read again", || problem(&home).is_null());
    assert_eq!(checks(&home), [] as [Value; 0]);

    configure(&home, "[daemon");
    daemon.signal(Signal::HUP);
    wait_until("it is wrong again", || problem(&home).is_string());
    assert!(
        problem(&home)
            .as_str()
            .unwrap()
            .ends_with("what was read before holds")
    );
}

const RULE: &str = "[[host]]\nmatch = \"git.example.com\"\nresource = \"urn:d:git\"\n";
const CREDENTIAL: &str = r#"{"id":1,"op":"credential","url":"https://git.example.com","tool":"git"}"#;
const CONFIGURATION: &str = r#"{"id":1,"op":"configuration"}"#;

fn credential(home: &Home) -> Value {
    home.connect().ask(CREDENTIAL)["error"].clone()
}

#[test]
fn a_host_gets_its_token_by_the_file_that_was_read_last_and_none_by_a_broken_one() {
    let home = Home::new();
    let daemon = home.start();
    assert_eq!(credential(&home)["code"], "no_rule");
    assert_eq!(
        credential(&home)["hint"],
        "ciba allow git.example.com --resource URN"
    );

    configure(&home, RULE);
    daemon.signal(Signal::HUP);
    wait_until("the rule is in force", || {
        credential(&home)["code"] == "not_logged_in"
    });
    let shown = home.connect().ask(CONFIGURATION)["ok"].clone();
    let file = home.path().join(".config/ciba/config.toml").display().to_string();
    assert_eq!(shown["file"], json!(file));
    assert_eq!(shown["rules"][0]["match"], "git.example.com");
    assert!(shown["problem"].is_null());

    configure(&home, &RULE.replace("git.example.com", "*.com"));
    daemon.signal(Signal::HUP);
    wait_until("a broken file gives nothing", || {
        credential(&home)["code"] == "bad_configuration"
    });
    let told = credential(&home);
    assert!(
        told["message"].as_str().unwrap().contains("line 2, column 9: "),
        "{told}"
    );
    assert_eq!(told["hint"], "ciba config check");
    let shown = home.connect().ask(CONFIGURATION)["ok"].clone();
    assert_eq!(shown["rules"], json!([]));
    assert!(
        shown["problem"].as_str().unwrap().contains("two labels"),
        "{shown}"
    );
    let refused = CREDENTIAL.replace("credential", "refused");
    assert_eq!(home.connect().ask(&refused)["error"]["code"], "bad_configuration");
    let confirm = r#"{"id":1,"op":"confirm","number":1,"allow":true}"#;
    assert_eq!(home.connect().ask(confirm)["error"]["code"], "bad_request");
}

#[test]
fn the_log_is_as_long_as_was_wanted_last() {
    let home = Home::new();
    configure(&home, "[daemon]\nlog = \"error\"\n");
    let daemon = home.start();
    configure(&home, "[daemon]\nlog = \"info\"\n");
    wait_until("more is logged", || {
        daemon.signal(Signal::HUP);
        home.log().contains("INFO")
    });
    let log = home.log();
    assert!(!log.contains("serving") && log.contains("reloading"), "{log}");
}

#[test]
fn the_variable_is_stronger_than_the_file() {
    let home = Home::new();
    configure(&home, "[daemon]\nlog = \"info\"\n");
    assert!(
        home.cibad()
            .env("CIBA_LOG", "error")
            .output()
            .unwrap()
            .status
            .success()
    );
    let daemon = home.daemon().unwrap();
    daemon.signal(Signal::TERM);
    wait_until("it has ended", || !daemon.lives());
    assert_eq!(home.log(), "");
}

#[test]
fn d_052_the_keychain_of_the_file_is_taken_when_the_client_does_not_say() {
    let home = Home::new();
    configure(&home, "[daemon]\nkeychain = \"kernel\"\n");
    home.start();
    let refused = home.connect().ask(START);
    assert_eq!(
        refused["error"]["message"], "this session has no kernel keychain",
        "the harness allows memory alone"
    );
    let own = START.replace('}', r#","keychain":"memory"}"#);
    let refused = home.connect().ask(&own);
    assert_eq!(refused["error"]["code"], "server_unreachable");
}

#[test]
fn a_level_that_is_none_is_said_once_and_the_configured_one_holds() {
    let home = Home::new();
    let started = home.cibad().env("CIBA_LOG", "inof").status().unwrap();
    assert!(started.success());
    let daemon = home.daemon().unwrap();
    daemon.signal(Signal::HUP);
    wait_until("it is logged as configured", || home.log().contains("reloading"));
    let told = "CIBA_LOG is no level; info holds";
    assert_eq!(home.log().matches(told).count(), 1, "{}", home.log());
}

//! `ciba add`.

use serde_json::{Value, json};

use crate::harness::{Home, Run, failure, finish};

fn added(profile: &str) -> Value {
    json!({"id": 1, "ok": {"profile": profile, "resource": "urn:d:x", "expires_at": 4_000_000_000_u64}})
}

const ADD: [&str; 3] = ["add", "--resource", "urn:d:x"];

#[test]
fn d_041_a_resource_is_added_and_how_to_print_its_token_is_said() {
    let home = Home::with_lines(&[added("default")]);
    let run = home.ciba(&ADD);
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), ""));
    assert!(
        run.stderr.starts_with("Added urn:d:x, expires in ")
            && run
                .stderr
                .ends_with(" days. To print it:\n  ciba token --resource urn:d:x\n"),
        "{}",
        run.stderr
    );
    assert_eq!(
        home.request(),
        json!({"id": 1, "op": "add", "resource": "urn:d:x"})
    );
}

#[test]
fn d_041_profile_and_resource_come_from_where_they_come_everywhere() {
    let home = Home::with_lines(&[added("work")]);
    let run = home.ciba(&[&ADD[..], &["--profile", "work"]].concat());
    assert!(
        run.stderr
            .ends_with("  ciba token --profile work --resource urn:d:x\n"),
        "{}",
        run.stderr
    );
    let expected = json!({"id": 1, "op": "add", "resource": "urn:d:x", "profile": "work"});
    assert_eq!(home.request(), expected);
    let mut command = home.command(&["add"]);
    command
        .env("CIBA_RESOURCE", "urn:d:x")
        .env("CIBA_PROFILE", "work");
    assert_eq!(finish(command).status, Some(0));
    assert_eq!(home.request(), expected);
}

#[test]
fn add_json_is_the_daemons_answer() {
    let home = Home::with_lines(&[added("default")]);
    let run = home.ciba(&["add", "--json", "--resource", "urn:d:x"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        serde_json::from_str::<Value>(&run.stdout).unwrap(),
        added("default")["ok"]
    );
}

#[test]
fn add_without_a_resource_asks_nobody() {
    let home = Home::with_lines(&[added("default")]);
    let expected = Run::new(
        2,
        "",
        "ciba: no resource is named\nhint: ciba add --resource URN\n",
    );
    assert_eq!(home.ciba(&["add"]), expected);
    assert!(home.is_quiet());
}

#[test]
fn d_042_a_resource_that_is_refused_is_said() {
    let home = Home::with_lines(&[failure("invalid_target")]);
    assert_eq!(home.ciba(&ADD), Run::new(1, "", "ciba: no way\n"));
    let home = Home::with_lines(&[failure("login_required")]);
    let expected = Run::new(3, "", "ciba: no way\nhint: ciba start --url URL\n");
    assert_eq!(home.ciba(&ADD), expected);
}

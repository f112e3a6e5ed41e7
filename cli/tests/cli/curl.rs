//! `ciba curl` where it refuses, and what prints a token in curl's and netrc's forms.

use serde_json::{Value, json};

use crate::harness::{Home, Run, finish};

pub(crate) fn credential(scheme: &str) -> Value {
    json!({"id": 1, "ok": {
        "access_token": "abc.def-123", "token_type": "Bearer", "resource": "urn:d:x", "expires_at": 1_900_000_000_u64,
        "scheme": scheme, "username": "oauth2", "serial": 1,
    }})
}

#[test]
fn what_could_send_the_token_elsewhere_is_refused_before_it_is_asked_for() {
    let home = Home::with_lines(&[credential("auto")]);
    for arguments in [
        &["https://a.example", "https://b.example"][..],
        &["-k", "https://a.example"],
        &["-K", "file", "https://a.example"],
        &["--location-trusted", "https://a.example"],
        &["-H", "Host: b.example", "https://a.example"],
        &["https://a.example@b.example/"],
        &["a.example"],
    ] {
        let run = home.ciba(&[&["curl", "--"], arguments].concat());
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{arguments:?}");
    }
    assert!(home.is_quiet());
}

#[test]
fn a_profile_is_the_rules_choice() {
    let home = Home::with_lines(&[credential("auto")]);
    for arguments in [
        &["--profile", "work", "curl", "https://a.example/"][..],
        &["curlrc", "https://a.example/", "--profile", "work"],
        &["netrc", "--profile=work", "a.example"],
    ] {
        let run = home.ciba(arguments);
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(
            run.stderr.contains("the host's rule says which login"),
            "{}",
            run.stderr
        );
    }
    assert!(home.is_quiet());
    // A variable is for the commands that take one.
    let mut command = home.command(&["curlrc", "https://a.example/"]);
    command.env("CIBA_PROFILE", "work");
    assert_eq!(finish(command).status, Some(0));
}

#[test]
fn a_host_without_a_rule_gets_nothing() {
    let no_rule = json!({"id": 1, "error": {"code": "no_rule", "message": "no rule names a.example",
        "hint": "ciba allow a.example --resource <urn>"}});
    let home = Home::with_lines(&[no_rule]);
    let told = Run::new(
        1,
        "",
        "ciba: no rule names a.example\nhint: ciba allow a.example --resource <urn>\n",
    );
    for arguments in [
        &["curl", "https://a.example/"][..],
        &["curlrc", "https://a.example/"],
        &["netrc", "a.example"],
    ] {
        assert_eq!(home.ciba(arguments), told, "{arguments:?}");
    }
}

#[test]
fn a_token_is_printed_in_the_forms_of_curl_and_netrc() {
    for (scheme, header) in [
        ("auto", "Bearer abc.def-123"),
        ("basic", "Basic b2F1dGgyOmFiYy5kZWYtMTIz"),
    ] {
        let home = Home::with_lines(&[credential(scheme)]);
        let line = format!("header = \"Authorization: {header}\"\n");
        assert_eq!(
            home.ciba(&["curlrc", "https://a.example/"]),
            Run::new(0, &line, "")
        );
        assert_eq!(
            home.ciba(&["netrc", "a.example:8443"]),
            Run::new(0, "machine a.example login oauth2 password abc.def-123\n", "")
        );
        let _ = home.request();
        assert_eq!(home.request()["url"], "https://a.example:8443/");
    }
}

//! `ciba completions` and `ciba man`: what is printed, and that a real shell completes with it.

use std::process::{Command, Stdio};

use crate::harness::{Home, finish};

#[test]
fn completions_are_printed_for_each_shell() {
    let home = Home::empty();
    for (shell, part) in [
        ("bash", "complete -F _ciba"),
        ("zsh", "#compdef ciba"),
        ("fish", "complete -c ciba"),
    ] {
        let run = home.ciba(&["completions", shell]);
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
        assert!(run.stdout.contains(part), "{shell}");
    }
    let unknown = home.ciba(&["completions", "tcsh"]);
    assert_eq!(unknown.status, Some(2));
    assert!(unknown.stderr.contains("bash, zsh, fish"), "{}", unknown.stderr);
}

/// Returns what bash offers behind these words.
fn bash_offers(words: &[&str]) -> Vec<String> {
    let script = "source <(\"$0\" completions bash)
        COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_LINE=\"$*\"; COMP_POINT=${#COMP_LINE}
        _ciba ciba \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, env!("CARGO_BIN_EXE_ciba")])
        .args(words)
        .stdin(Stdio::null());
    finish(bash).stdout.lines().map(str::to_owned).collect()
}

#[test]
fn a_real_bash_completes_commands_options_and_values() {
    assert_eq!(bash_offers(&["ciba", "st"]), ["start", "status", "stop"]);
    assert_eq!(bash_offers(&["ciba", "token", "--min"]), ["--min-valid"]);
    assert_eq!(
        bash_offers(&["ciba", "start", "--keychain", ""]),
        ["secret-service", "kernel", "macos", "memory"]
    );
    let shells = bash_offers(&["ciba", "completions", ""]);
    assert!(
        shells.ends_with(&["bash".into(), "zsh".into(), "fish".into()]),
        "{shells:?}"
    );
}

#[test]
fn man_prints_a_page_of_each_command() {
    let home = Home::empty();
    let run = home.ciba(&["man"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.contains(".TH ciba 1"), "{}", run.stdout);
    let run = home.ciba(&["man", "token"]);
    assert!(
        run.stdout.contains("\\-\\-min\\-valid") && run.stdout.contains("EXIT STATUS"),
        "{}",
        run.stdout
    );
    assert_eq!(home.ciba(&["man", "nope"]).status, Some(2));
}

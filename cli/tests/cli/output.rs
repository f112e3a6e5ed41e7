//! The terminal: what goes to which stream, colour and movement only on a terminal, and help in one voice.

use std::fs::File;

use serde_json::json;

use crate::harness::{Home, Run, authorize, failure, finish, started, token};

#[test]
fn nothing_is_coloured_or_moved_in_a_pipe() {
    let home = Home::with_lines(&[authorize("https://c/x"), failure("login_denied")]);
    let mut command = home.command(&["start", "--url", "https://c"]);
    command.env("TERM", "xterm").env("CLICOLOR_FORCE", "1");
    let run = finish(command);
    assert!(!run.stderr.contains(['\x1b', '\r']), "{:?}", run.stderr);
}

#[test]
#[cfg(target_os = "linux")]
fn a_terminal_shows_the_time_left_and_then_a_clean_line() {
    let home = Home::with_lines(&[authorize("https://c/x"), started()]);
    let shown = home.ciba_on_a_terminal(&["start", "--url", "https://c"], &[]);
    assert!(
        shown.contains("Compare this code with the page: \x1b[1mABCD-EFGH\x1b[0m\r\n"),
        "{shown:?}"
    );
    let line = shown.find("\rWaiting for the login … ").expect("a progress line");
    assert!(
        shown[line..].contains(" left\x1b[K\r\x1b[KLogged in as Alice."),
        "{shown:?}"
    );
    assert!(
        !shown.contains("\x1b[?25l"),
        "the cursor is never hidden: Ctrl-C would leave it so"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn no_color_and_dumb_terminals_are_respected() {
    let home = Home::with_lines(&[authorize("https://c/x"), started()]);
    let args = ["start", "--url", "https://c"];
    let plain = home.ciba_on_a_terminal(&args, &[("NO_COLOR", "1")]);
    assert!(
        !plain.contains("\x1b[1m") && plain.contains("\rWaiting"),
        "{plain:?}"
    );
    let dumb = home.ciba_on_a_terminal(&args, &[("TERM", "dumb")]);
    assert!(!dumb.contains('\x1b') && !dumb.contains("Waiting"), "{dumb:?}");
}

#[test]
fn text_from_the_server_cannot_steer_the_terminal() {
    let evil =
        json!({"id": 1, "error": {"code": "busy", "message": "a\x1b[2J\nciba: all is well", "hint": "\x07"}});
    let run = Home::with_lines(&[evil]).ciba(&["token"]);
    assert_eq!(
        run.stderr,
        "ciba: a\u{fffd}[2J\u{fffd}ciba: all is well\nhint: \u{fffd}\n"
    );

    let page = authorize("https://c/\x1b]0;x\x07");
    let run = Home::with_lines(&[page, started()]).ciba(&["start", "--url", "https://c"]);
    assert!(!run.stderr.contains('\x1b'), "{:?}", run.stderr);
}

#[test]
fn a_broken_pipe_is_silence() {
    let home = Home::with_lines(&[token("t")]);
    assert_eq!(home.ciba_unread(&["token"]), Run::new(0, "", ""));
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_is_full_is_an_error() {
    let home = Home::with_lines(&[token("t")]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = home.command(&["token"]);
    command.stdout(full);
    let run = finish(command);
    assert_eq!(run.status, Some(1));
    assert!(
        run.stderr.starts_with("ciba: standard output takes no more: "),
        "{}",
        run.stderr
    );
}

#[test]
fn a_closed_standard_error_changes_nothing() {
    let home = Home::with_lines(&[failure("timeout")]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = home.command(&["token"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(6));
}

#[test]
fn help_is_short_imperative_and_without_a_full_stop() {
    let home = Home::empty();
    for args in [
        &["--help"][..],
        &["start", "--help"],
        &["token", "--help"],
        &["status", "--help"],
        &["watch", "--help"],
        &["add", "--help"],
        &["stop", "--help"],
        &["doctor", "--help"],
        &["logs", "--help"],
        &["restart", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
    ] {
        let run = home.ciba(args);
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
        let about = run.stdout.lines().next().unwrap();
        assert!(
            about.starts_with(char::is_uppercase) && !about.ends_with('.') && about.len() <= 60,
            "{about}"
        );
        let options = run.stdout.split("Options:").nth(1).unwrap();
        assert!(!options.lines().any(|line| line.ends_with('.')), "{options}");
    }
}

#[test]
fn help_lists_every_command_with_what_it_does() {
    let help = Home::empty().ciba(&["--help"]).stdout;
    let commands = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    assert_eq!(
        commands,
        "  start        Log in at a server and keep the session\n  \
           token        Print an access token that is valid now\n  \
           add          Get a token of one more resource, ahead of need\n  \
           status       Show logins and the tokens in memory\n  \
           watch        Print what happens to logins and tokens until interrupted\n  \
           stop         Log out: end the session here and on the server\n  \
           request      Ask a person for approval at an OpenID provider (CIBA), and print the token\n  \
           client       Keep the credentials of clients for `ciba request`\n  \
           approvals    Show the requests that wait for your decision\n  \
           approve      Give a client what it asks you for\n  \
           deny         Refuse a client what it asks you for\n  \
           allow        Let the tools give a host its token: write a rule\n  \
           config       Show the configuration and its rules\n  \
           audit        Show which tokens were handed out\n  \
           exec         Run a program with a token in its environment\n  \
           curl         Run curl with the token of the URL's rule\n  \
           curlrc       Print a URL's token as a line for `curl -K -`\n  \
           netrc        Print a host's token as a line of a netrc file\n  \
           forward      Pass tokens of named resources on to another machine\n  \
           git          Let git get tokens from ciba\n  \
           docker       Let docker get tokens from ciba\n  \
           kube         Let kubectl get tokens from ciba\n  \
           doctor       Check what ciba needs, and say what to do\n  \
           logs         Show the log of the daemon\n  \
           restart      Let the installed cibad take over, with every session\n  \
           service      Run cibad as a user service (systemd, launchd)\n  \
           completions  Print what makes a shell complete commands and options\n  \
           man          Show a manual page"
    );
}

#[test]
fn help_is_a_command_too() {
    let home = Home::empty();
    for (typed, meant) in [
        (&["help"][..], &["--help"][..]),
        (&["help", "token"], &["token", "--help"]),
    ] {
        assert_eq!(home.ciba(typed), home.ciba(meant));
    }
    let one_shot = home.ciba(&["help"]).stdout;
    let (_, one_shot) = one_shot
        .split_once("Without a command (one-shot login):")
        .unwrap();
    for option in ["--url", "--resource", "--no-browser", "--qr"] {
        assert!(one_shot.contains(option), "{option}");
    }
}

#[test]
fn token_is_explained_as_every_command_is() {
    let home = Home::empty();
    let help = home.ciba(&["token", "--help"]).stdout;
    assert!(
        help.contains("Usage: ciba token [OPTIONS]") && help.contains("[env: CIBA_PROFILE]"),
        "{help}"
    );
    let wrong = home.ciba(&["token", "--nope"]).stderr;
    assert!(wrong.contains("Usage: ciba token"), "{wrong}");
}

#[test]
fn version_is_one_line() {
    let run = Home::empty().ciba(&["--version"]);
    assert_eq!(
        (run.status, run.stdout),
        (Some(0), concat!("ciba ", env!("CARGO_PKG_VERSION"), "\n").into())
    );
}

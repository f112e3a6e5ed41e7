//! The configuration: what is read, what is refused and how that is said, and what a reload changes.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use rustix::fs::{Mode, mkfifoat};
use tempfile::TempDir;

use super::*;

/// Only ever reached by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn refused(text: &str) -> String {
    Config::parse(text).expect_err("refused").to_string()
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A directory with a configuration of these bytes.
fn home(bytes: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    fs::write(&file, bytes).unwrap();
    (directory, file)
}

#[test]
fn every_key_is_optional_and_means_what_it_says() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
    assert_eq!(Config::parse("[daemon]").unwrap(), Config::default());
    let settings = Settings::of_nobody();
    assert_eq!(
        (settings.keychain(), settings.log(), settings.notifications()),
        (None, LevelFilter::INFO, true)
    );
    let settings = Settings::of("[daemon]\nkeychain = \"kernel\"\nlog = \"debug\"\nnotifications = false");
    assert_eq!(
        (settings.keychain(), settings.log(), settings.notifications()),
        (Some(KeychainKind::Kernel), LevelFilter::DEBUG, false)
    );
    for kind in KeychainKind::ALL {
        let settings = Settings::of(&format!("daemon.keychain = \"{kind}\""));
        assert_eq!(settings.keychain(), Some(kind));
    }
}

#[test]
fn what_is_unknown_is_refused_with_its_place_and_the_nearest_known_name() {
    for (text, problem) in [
        (
            "[daemon]\n\n  keychian = \"kernel\"",
            "line 3, column 3: unknown key `keychian`; did you mean `keychain`?",
        ),
        (
            "[deamon]",
            "line 1, column 2: unknown key `deamon`; did you mean `daemon`?",
        ),
        (
            "[daemon]\nkeychain = \"gnome-secret-service\"",
            "line 2, column 12: unknown value `gnome-secret-service`; did you mean `secret-service`?",
        ),
        (
            "[daemon]\nlog = \"INFO\"",
            "line 2, column 7: unknown value `INFO`; did you mean `info`?",
        ),
        (
            "[daemon]\n\"`\\u001b[31m, expected `x`\" = 1",
            "line 2, column 1: unknown key ``[31m, expected `x``; did you mean `keychain`?",
        ),
    ] {
        assert_eq!(refused(text), problem);
    }
}

#[test]
fn a_rule_that_is_not_understood_is_refused_with_its_place() {
    let rule =
        |line: &str| format!("[[host]]\nmatch = \"git.example.com\"\nresource = \"urn:d:git\"\n{line}\n");
    assert!(Config::parse(&rule("")).is_ok());
    for (text, problem) in [
        (
            rule("resourse = \"urn:d:x\""),
            "line 4, column 1: unknown key `resourse`; did you mean `resource`?",
        ),
        (
            rule("scheme = \"digest\""),
            "line 4, column 10: unknown value `digest`; did you mean `bearer`?",
        ),
        (
            rule("username = \"a:b\""),
            "line 4, column 12: a username is 1 to 128 printable ASCII characters without a colon",
        ),
        (
            rule("tool = [\"Git\"]"),
            "line 4, column 8: a tool is 1 to 32 lower-case letters, digits and dashes",
        ),
        (
            "[[host]]\nmatch = \"http://git.example.com\"\nresource = \"urn:d:git\"\n".into(),
            "line 2, column 9: no host to match: a token goes over https alone; http is for this machine (localhost, \
             127.0.0.0/8, [::1])",
        ),
        (
            "[[host]]\nmatch = \"git.example.com\"\n".into(),
            "line 1, column 1: missing field `resource`",
        ),
        (
            "[host]\nmatch = \"git.example.com\"\n".into(),
            "line 1, column 1: expected a sequence",
        ),
    ] {
        assert_eq!(refused(&text), problem, "{text}");
    }
}

#[test]
fn what_is_no_toml_or_of_the_wrong_type_is_refused_and_not_quoted() {
    assert_eq!(
        refused("[daemon]\nnotifications = 1"),
        "line 2, column 17: expected a boolean"
    );
    assert!(refused("[daemon").starts_with("line 1, column "));
    for text in [
        "[daemon]\nnotifications = \"hunter2\"",
        "[daemon]\nlog = 12345678",
        "daemon = \"hunter2\"",
        "[daemon]\nnotifications = hunter2",
    ] {
        let problem = refused(text);
        assert!(problem.starts_with("line "), "{problem}");
        assert!(
            !problem.contains("hunter2") && !problem.contains("12345678"),
            "{problem}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_decides_nothing_and_a_link_is_as_good_as_its_file() {
    let (directory, file) = home("[daemon]\nlog = \"trace\"\n");
    let other = directory.path().join("other.toml");
    assert_eq!(Config::read(&other, uid()), Ok(Config::default()));
    symlink(&file, &other).unwrap();
    assert_eq!(Config::read(&other, uid()), Config::read(&file, uid()));
    assert_eq!(Config::read(&other, uid()).unwrap().daemon.log, Level::Trace);
}

#[test]
fn a_file_is_read_up_to_its_limit() {
    let (_directory, file) = home("#".repeat(MAX_FILE));
    assert_eq!(Config::read(&file, uid()), Ok(Config::default()));
    fs::write(&file, "#".repeat(MAX_FILE + 1)).unwrap();
    assert_eq!(Config::read(&file, uid()), Err(ConfigError::TooLarge));
}

#[test]
fn a_file_that_others_decide_about_is_refused() {
    let file = 0o100_644;
    assert_eq!(check(true, 1000, file, 1000), Ok(()));
    assert_eq!(check(true, 0, file, 1000), Ok(()), "root's");
    assert_eq!(
        check(true, 1001, file, 1000),
        Err(ConfigError::NotOurs(NotOurs::OtherOwner))
    );
    assert_eq!(
        check(true, 1000, 0o100_664, 1000),
        Err(ConfigError::NotOurs(NotOurs::Open))
    );
    assert_eq!(
        check(true, 1000, 0o100_646, 1000),
        Err(ConfigError::NotOurs(NotOurs::Open))
    );

    let (_directory, file) = home("");
    fs::set_permissions(&file, Permissions::from_mode(0o620)).unwrap();
    assert_eq!(
        Config::read(&file, uid()),
        Err(ConfigError::NotOurs(NotOurs::Open))
    );
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    if uid() == 0 {
        std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
        assert_eq!(
            Config::read(&file, 0),
            Err(ConfigError::NotOurs(NotOurs::OtherOwner))
        );
    }
}

#[test]
fn what_is_no_text_file_is_refused_at_once() {
    let (directory, file) = home([0xff]);
    assert_eq!(Config::read(&file, uid()), Err(ConfigError::NotText));
    assert_eq!(Config::read(directory.path(), uid()), Err(ConfigError::NotAFile));
    let pipe = directory.path().join("pipe");
    mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR).unwrap();
    assert_eq!(read_soon(pipe), Err(ConfigError::NotAFile));
    let below_a_file = file.join("config.toml");
    assert_eq!(
        Config::read(&below_a_file, uid()),
        Err(ConfigError::Unreadable(io::ErrorKind::NotADirectory))
    );
}

/// Reads a file that may have nobody at its other end.
fn read_soon(file: PathBuf) -> Result<Config, ConfigError> {
    let (sender, read) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(Config::read(&file, uid())));
    read.recv_timeout(PATIENCE).expect("it is read at once")
}

#[tokio::test]
async fn a_reload_takes_what_is_right_and_keeps_what_was_before_what_is_wrong() {
    let (_directory, file) = home("[daemon]\nnotification = false");
    let settings = Settings::read(Some(file.clone()), uid());
    assert!(settings.notifications(), "a default");
    let problem = settings.problem().unwrap();
    assert!(problem.starts_with(file.to_str().unwrap()), "{problem}");
    assert!(problem.ends_with("?; the defaults hold"), "{problem}");

    fs::write(&file, "[daemon]\nnotifications = false").unwrap();
    settings.read_again().await;
    assert!(!settings.notifications());
    assert_eq!(settings.problem(), None);

    fs::write(&file, "[daemon]\nnotifications = 1").unwrap();
    settings.read_again().await;
    assert!(!settings.notifications(), "as before");
    assert!(
        settings
            .problem()
            .unwrap()
            .ends_with("; what was read before holds")
    );

    fs::remove_file(&file).unwrap();
    settings.read_again().await;
    assert!(settings.notifications());
}

//! The program on the disk changes under a running daemon.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::harness::{Daemon, Home, STRANGER, wait_until};

const HAND_OVER: &str = r#"{"id":1,"op":"hand_over"}"#;

/// A home with a program of its own that may be replaced.
struct Installed {
    home: Home,
    program: PathBuf,
}

impl Installed {
    fn new() -> Self {
        let home = Home::new();
        let program = home.path().join("cibad");
        let installed = Self { home, program };
        installed.install_again();
        installed
    }

    /// Puts the same program there, as another file.
    fn install_again(&self) {
        self.install(Path::new(env!("CARGO_BIN_EXE_cibad")));
    }

    /// Puts a script there.
    fn install_script(&self, script: &str) {
        let source = self.home.path().join("script");
        fs::write(&source, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).unwrap();
        self.install(&source);
    }

    fn install(&self, source: &Path) {
        let new = self.program.with_extension("new");
        copy(source, &new);
        fs::rename(new, &self.program).unwrap();
    }

    fn start(&self) -> Daemon {
        let started = self.home.run(self.program.to_str().unwrap()).status().unwrap();
        assert!(started.success());
        self.home.daemon().unwrap()
    }

    /// Whether the daemon runs what is installed; only root sees that.
    fn is_current(&self, daemon: Daemon) -> bool {
        fs::read_link(daemon.proc("exe")).is_ok_and(|program| program == self.program)
    }

    fn hello(&self) -> serde_json::Value {
        self.home.connect().hello()["ok"]["pid"].clone()
    }
}

/// By another process: what this one writes, a child that another test starts just then holds open, and it cannot
/// be run.
fn copy(source: &Path, to: &Path) {
    let copied = Command::new("cp").arg(source).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Spoils the configuration and asks for another program, which takes nothing over; this one says what is wrong.
fn the_configuration_is_read_all_the_same(home: &Home) {
    let folder = home.path().join(".config/ciba");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.toml"), "[daemon").unwrap();
    home.daemon().unwrap().signal(Signal::HUP);
    wait_until("the configuration is read", || {
        home.connect().ask(r#"{"id":1,"op":"status"}"#)["ok"]["configuration"].is_string()
    });
}

fn descriptors(daemon: Daemon) -> usize {
    fs::read_dir(daemon.proc("fd")).unwrap().count()
}

/// Whether a signal does not end the daemon.
fn is_heard(daemon: Daemon, signal: Signal) -> bool {
    let status = fs::read_to_string(daemon.proc("status")).unwrap();
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    (mask("SigCgt:") | mask("SigIgn:")) >> (signal.as_raw() - 1) & 1 == 1
}

fn needs_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: needs root");
    }
    is_root
}

#[test]
fn the_installed_program_takes_over_in_the_same_process() {
    if !needs_root() {
        return;
    }
    let installed = Installed::new();
    let daemon = installed.start();
    installed.hello();
    let before = descriptors(daemon);
    type Ask = fn(&Home);
    let by_signal: Ask = |home| home.daemon().unwrap().signal(Signal::HUP);
    let by_request: Ask = |home| {
        let answer = home.connect().ask(HAND_OVER).to_string();
        assert_eq!(answer, r#"{"id":1,"ok":{}}"#);
    };
    for ask in [by_signal, by_request, by_signal] {
        installed.install_again();
        assert!(!installed.is_current(daemon));
        let lock = fs::metadata(installed.home.directory().join("agent.lock")).unwrap();
        ask(&installed.home);
        wait_until("the new program", || {
            assert_eq!(installed.hello(), daemon.0, "somebody answers all the while");
            installed.is_current(daemon)
        });
        assert_eq!(installed.home.daemon(), Some(daemon));
        // No other process could have had the lock in between.
        let after = fs::metadata(installed.home.directory().join("agent.lock")).unwrap();
        assert_eq!(lock.modified().unwrap(), after.modified().unwrap());
    }
    wait_until("a word about each", || {
        installed.home.log().matches("taken over").count() == 3
    });

    assert_eq!(
        fs::read_link(daemon.proc("fd/0")).unwrap(),
        Path::new("/dev/null")
    );
    // One may belong to a client that is just going; each hand-over would leave one behind.
    wait_until("no descriptor is left behind", || {
        descriptors(daemon) <= before + 1
    });

    daemon.signal(Signal::TERM);
    wait_until("it has ended", || !daemon.lives());
    assert!(!installed.home.socket().exists(), "it is still ours to remove");
}

#[test]
fn a_hangup_without_another_program_is_no_reason_to_hand_over() {
    let installed = Installed::new();
    let daemon = installed.start();
    daemon.signal(Signal::HUP);
    wait_until("a reload", || installed.home.log().contains("reloading"));
    assert!(!installed.home.log().contains("handing over"));
}

#[test]
fn a_program_that_cannot_run_takes_nothing_over() {
    for script in ["exit 1", "kill -SEGV $$"] {
        let installed = Installed::new();
        let daemon = installed.start();
        installed.install_script(script);
        let mut client = installed.home.connect();
        let refused = client.ask(HAND_OVER);
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("the installed program cannot be run: "),
            "{message}"
        );
        assert!(client.hello()["ok"].is_object(), "nobody was sent away");
        daemon.signal(Signal::HUP);
        wait_until("two refusals", || {
            installed.home.log().matches("not handed over").count() == 2
        });
        assert_eq!(installed.hello(), daemon.0);

        installed.install_again();
        assert!(
            installed.home.connect().ask(HAND_OVER)["ok"].is_object(),
            "the next one can"
        );
        assert_eq!(installed.hello(), daemon.0);
    }
}

/// As Homebrew and Nix install: the next version is another file, and the link leads there.
#[test]
fn a_program_behind_a_link_is_replaced_by_switching_the_link() {
    if !needs_root() {
        return;
    }
    let installed = Installed::new();
    let bin = installed.home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let link = bin.join("cibad");
    symlink(&installed.program, &link).unwrap();
    let started = installed.home.run("cibad").env("PATH", &bin).status().unwrap();
    assert!(started.success());
    let daemon = installed.home.daemon().unwrap();

    let next = installed.home.path().join("cibad-2");
    copy(Path::new(env!("CARGO_BIN_EXE_cibad")), &next);
    for program in [&next, &installed.program, &next] {
        fs::remove_file(&link).unwrap();
        symlink(program, &link).unwrap();
        daemon.signal(Signal::HUP);
        wait_until("the program behind the link", || {
            fs::read_link(daemon.proc("exe")).is_ok_and(|running| running == *program)
        });
        assert_eq!(installed.hello(), daemon.0);
    }
}

#[test]
fn a_program_that_others_may_change_takes_nothing_over() {
    let installed = Installed::new();
    let daemon = installed.start();
    let directory = installed.home.path();
    let refusal = || {
        let refused = installed.home.connect().ask(HAND_OVER);
        let message = refused["error"]["message"].as_str().unwrap_or_default();
        message.replace(directory.to_str().unwrap(), "HOME")
    };
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(&installed.program, 0o775);
    let open = "can be written by others; chmod go-w";
    assert_eq!(
        refusal(),
        format!("the installed program is not run: HOME/cibad {open}")
    );
    set_mode(&installed.program, 0o755);
    set_mode(directory, 0o777);
    assert_eq!(
        refusal(),
        format!("the installed program is not run: HOME {open}")
    );
    set_mode(directory, 0o700);
    assert_eq!(refusal(), "");
    wait_until("it serves again", || installed.hello() == daemon.0);
}

#[test]
fn the_program_of_another_user_takes_nothing_over() {
    if !needs_root() {
        return;
    }
    let installed = Installed::new();
    let daemon = installed.start();
    chown(&installed.program, Some(STRANGER), None).unwrap();
    let refused = installed.home.connect().ask(HAND_OVER);
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.ends_with("cibad belongs to another user"), "{message}");
    assert_eq!(installed.hello(), daemon.0);
}

#[test]
fn the_configuration_is_read_although_the_program_is_refused() {
    let installed = Installed::new();
    installed.start();
    installed.install_script("exit 1");
    the_configuration_is_read_all_the_same(&installed.home);
}

#[test]
fn the_configuration_is_read_although_the_program_fails_at_the_last_moment() {
    if !needs_root() {
        return;
    }
    let installed = Installed::new();
    installed.start();
    installed.install_script("chmod a-x \"$0\"");
    the_configuration_is_read_all_the_same(&installed.home);
    wait_until("why it was not handed over", || {
        installed
            .home
            .log()
            .contains("the system does not run the installed program")
    });
}

/// It says that it can be run, and then the system does not run it.
#[test]
fn a_program_that_fails_at_the_last_moment_leaves_the_old_one_serving() {
    if !needs_root() {
        return;
    }
    let installed = Installed::new();
    let daemon = installed.start();
    installed.install_script("chmod a-x \"$0\"");
    assert!(installed.home.connect().ask(HAND_OVER)["ok"].is_object());
    wait_until("the refusal", || {
        installed
            .home
            .log()
            .contains("the system does not run the installed program")
    });
    assert_eq!(installed.hello(), daemon.0);

    assert_eq!(
        fs::read_link(daemon.proc("fd/0")).unwrap(),
        Path::new("/dev/null")
    );
    assert!(is_heard(daemon, Signal::PIPE), "a client that goes would end it");
    let again = installed.home.connect().ask(HAND_OVER);
    assert_eq!(
        again["error"]["message"],
        "the installed program was refused before; restart cibad instead"
    );
    daemon.signal(Signal::TERM);
    wait_until("it has ended", || !daemon.lives());
    assert!(!installed.home.socket().exists());
}

/// Serves as a daemon of some version until it is asked twice or the asking ends, and returns what was asked.
fn incumbent(home: &Home, version: &str) -> Vec<String> {
    home.make_directory(0o700);
    let lock = fs::File::create(home.directory().join("agent.lock")).unwrap();
    lock.lock().unwrap();
    let listener = UnixListener::bind(home.socket()).unwrap();
    let mut child = home.cibad().stdout(Stdio::null()).spawn().unwrap();
    let mut asked = Vec::new();
    listener.set_nonblocking(true).unwrap();
    wait_until("cibad has asked and ended", || {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            let hello = format!(r#"{{"id":0,"ok":{{"protocol":1,"version":"{version}","pid":1}}}}"#);
            writeln!(&stream, "{hello}").unwrap();
            asked.push(request);
        }
        child.try_wait().unwrap().is_some_and(|status| {
            assert!(status.success(), "somebody serves, which is what was wanted");
            true
        })
    });
    asked
}

#[test]
fn one_that_finds_another_version_serving_asks_it_to_hand_over() {
    let asked = incumbent(&Home::new(), "0.0.1");
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].contains(r#""op":"hello""#), "{asked:?}");
    assert!(asked[1].contains(r#""op":"hand_over""#), "{asked:?}");
}

#[test]
fn one_that_finds_its_own_version_serving_leaves_it_alone() {
    let asked = incumbent(&Home::new(), env!("CARGO_PKG_VERSION"));
    assert_eq!(asked.len(), 1, "{asked:?}");
}

#[test]
fn taking_over_from_nobody_is_an_error() {
    let home = Home::new();
    let mut command = home.cibad();
    command
        .args(["--takes-over", "--foreground"])
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let reason = String::from_utf8(output.stderr).unwrap();
    assert!(reason.starts_with("cibad: nothing was handed over"), "{reason}");
}

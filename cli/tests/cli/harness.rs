//! A home of its own for each test: a private directory, a scripted daemon behind its socket, and a `ciba`
//! that knows nothing else.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a run may take before the test calls it hung. Never waited for when all is well.
pub(crate) const HUNG: Duration = Duration::from_secs(60);

/// Every command that asks the daemon, and fails when the daemon does.
pub(crate) const COMMANDS: [&[&str]; 11] = [
    &["token"],
    &["add", "--resource", "urn:d:x"],
    &["restart"],
    &["status"],
    &["stop"],
    &["watch"],
    &["approvals"],
    &["approvals", "--watch"],
    &["deny", "--yes"],
    &["start", "--url", "https://c"],
    &["--url", "https://c"],
];

pub(crate) struct Home {
    dir: TempDir,
    /// What the scripted daemon was asked, in order.
    requests: mpsc::Receiver<Value>,
    record: mpsc::Sender<Value>,
}

/// How a run ended.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    /// A home without a daemon.
    pub(crate) fn empty() -> Self {
        let (record, requests) = mpsc::channel();
        Self {
            dir: tempfile::Builder::new()
                .permissions(fs::Permissions::from_mode(0o700))
                .tempdir()
                .unwrap(),
            requests,
            record,
        }
    }

    /// A home whose daemon answers every request with these lines, then closes.
    pub(crate) fn with_lines(lines: &[Value]) -> Self {
        let bytes: String = lines.iter().map(|line| format!("{line}\n")).collect();
        Self::with_bytes(bytes)
    }

    /// A home whose daemon answers every request with these bytes, then closes.
    pub(crate) fn with_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::with_daemon(move |_, stream| {
            // A client may have left already; that is what some tests are about.
            let _ = stream.write_all(&bytes);
        })
    }

    /// A home whose daemon answers each request with the next of these texts, then closes.
    pub(crate) fn with_answers(answers: &[&str]) -> Self {
        let answers: Vec<String> = answers.iter().map(ToString::to_string).collect();
        let count = AtomicUsize::new(0);
        Self::with_daemon(move |_, stream| {
            let text = answers.get(count.fetch_add(1, Ordering::Relaxed));
            let _ = stream.write_all(text.map_or(&[], |text| text.as_bytes()));
        })
    }

    /// A home whose daemon answers by `script`.
    pub(crate) fn with_daemon(script: impl Fn(&Value, &mut UnixStream) + Send + 'static) -> Self {
        let home = Self::empty();
        home.serve(&home.socket(), script);
        home
    }

    /// Puts a scripted daemon behind `socket`. It serves one connection after the other, until the test ends.
    pub(crate) fn serve(&self, socket: &Path, script: impl Fn(&Value, &mut UnixStream) + Send + 'static) {
        let listener = UnixListener::bind(socket).unwrap();
        let record = self.record.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                let Ok(request) = serde_json::from_str(&line) else {
                    continue;
                };
                script(&request, &mut stream);
                if record.send(request).is_err() {
                    return;
                }
            }
        });
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path().join("agent.sock")
    }

    /// Writes an executable shell script and returns its path.
    pub(crate) fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        install(format!("#!/bin/sh\n{text}\n").as_bytes(), &path);
        path
    }

    /// A `ciba` that sees this home and nothing else. No daemon can be started, unless the test says which.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ciba"));
        command
            .args(args)
            .env_clear()
            .env("CIBA_SOCKET", self.socket())
            .env("CIBA_DAEMON", "/nonexistent/cibad")
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn ciba(&self, args: &[&str]) -> Run {
        finish(self.command(args))
    }

    /// Runs `ciba` with a standard output that its reader has closed.
    pub(crate) fn ciba_unread(&self, args: &[&str]) -> Run {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = self.command(args);
        command.stdout(writer);
        finish(command)
    }

    /// Runs `ciba` on a terminal and returns what appears there.
    pub(crate) fn ciba_on_a_terminal(&self, args: &[&str], variables: &[(&str, &str)]) -> String {
        let line = format!("{} {}", env!("CARGO_BIN_EXE_ciba"), args.join(" "));
        let mut script = Command::new("script");
        script
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::null())
            .env("TERM", "xterm")
            .env_remove("NO_COLOR");
        for (name, value) in self.command(args).get_envs() {
            script.env(name, value.unwrap_or_default());
        }
        script.envs(variables.iter().copied());
        finish(script).stdout
    }

    /// Returns what the daemon was asked. Panics when it was not asked.
    pub(crate) fn request(&self) -> Value {
        self.requests.recv_timeout(HUNG).expect("the daemon was asked")
    }

    /// Whether the daemon was asked nothing more.
    pub(crate) fn is_quiet(&self) -> bool {
        self.requests.try_recv().is_err()
    }
}

/// Writes an executable. Another process does it: were the file open for writing here, a child that another
/// test starts at that moment would keep it open, and the kernel would refuse to run it (ETXTBSY).
pub(crate) fn install(bytes: &[u8], path: &Path) {
    let write = "cat > \"$0\" && chmod 700 \"$0\"";
    let mut shell = Command::new("sh")
        .arg("-c")
        .arg(write)
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(bytes).unwrap();
    assert!(shell.wait().unwrap().success());
}

/// Runs a command to its end; a hung one fails the test.
pub(crate) fn finish(mut command: Command) -> Run {
    let (done, outcome) = mpsc::channel();
    thread::spawn(move || done.send(command.output().unwrap()));
    let Output {
        status,
        stdout,
        stderr,
    } = outcome.recv_timeout(HUNG).expect("ciba does not hang");
    Run {
        status: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

impl Run {
    pub(crate) fn new(status: i32, stdout: &str, stderr: &str) -> Self {
        Self {
            status: Some(status),
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }
}

/// The answer to `token`.
pub(crate) fn token(secret: &str) -> Value {
    json!({"id": 1, "ok": {
        "access_token": secret, "token_type": "Bearer", "resource": "urn:d:unified-gateway",
        "expires_at": 1_900_000_000_u64, "scope": "openid",
    }})
}

/// The event that asks for a login.
pub(crate) fn authorize(url: &str) -> Value {
    json!({"id": 1, "event": "authorize", "profile": "default", "url": url, "user_code": "ABCD-EFGH",
        "expires_at": 4_000_000_000_u64})
}

/// The answer to `start`.
pub(crate) fn started() -> Value {
    json!({"id": 1, "ok": {
        "profile": "default", "subject": "Alice", "resource": "urn:d:unified-gateway", "expires_at": 1_900_000_000_u64,
    }})
}

/// A failure with this code.
pub(crate) fn failure(code: &str) -> Value {
    json!({"id": 1, "error": {"code": code, "message": "no way"}})
}

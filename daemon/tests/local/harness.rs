//! A home of its own for each test, the daemons in it, and a client that speaks lines.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes this long, on any machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A user who is not the one that runs the tests.
pub(crate) const STRANGER: u32 = 12345;

/// A user's home and runtime directory. Ends its daemon on drop.
pub(crate) struct Home {
    root: TempDir,
    /// The user that the daemon runs as, if not the one of the tests; only root can choose.
    uid: Option<u32>,
}

impl Home {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { root, uid: None }
    }

    /// Returns a stranger's home, or `None` when the tests do not run as root.
    pub(crate) fn of_a_stranger() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let mut home = Self::new();
        home.uid = Some(STRANGER);
        chown(home.root.path(), Some(STRANGER), Some(STRANGER)).unwrap();
        Some(home)
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.path().join("ciba")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory().join("agent.sock")
    }

    pub(crate) fn make_directory(&self, mode: u32) {
        fs::DirBuilder::new().mode(mode).create(self.directory()).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(self.directory(), mode).unwrap();
    }

    /// Returns `program` with this home as its whole environment.
    pub(crate) fn run(&self, program: &str) -> Command {
        let mut command = match self.uid {
            None => Command::new(program),
            Some(uid) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={uid}"), "--clear-groups".into(), program.into()]);
                command
            }
        };
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path())
            .env("XDG_RUNTIME_DIR", self.path())
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("CIBA_ALLOWED_KEYCHAINS", "memory");
        command
    }

    pub(crate) fn cibad(&self) -> Command {
        self.run(env!("CARGO_BIN_EXE_cibad"))
    }

    /// Starts the daemon, which must work.
    pub(crate) fn start(&self) -> Daemon {
        let output = self.cibad().output().unwrap();
        assert_eq!(text(&output), "");
        assert!(output.status.success());
        self.daemon().expect("it serves")
    }

    /// Starts the daemon, which must fail, and returns why.
    pub(crate) fn start_fails(&self) -> String {
        let output = self.cibad().output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        text(&output).replace(self.path().to_str().unwrap(), "HOME")
    }

    /// Returns the daemon that holds the lock.
    pub(crate) fn daemon(&self) -> Option<Daemon> {
        let lock = fs::read_to_string(self.directory().join("agent.lock")).ok()?;
        lock.trim().parse().ok().map(Daemon)
    }

    pub(crate) fn connect(&self) -> Client {
        Client::at(&self.socket())
    }

    pub(crate) fn log(&self) -> String {
        let directory = self.path().join("state/ciba");
        let files = fs::read_dir(directory).into_iter().flatten();
        files
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon().filter(Daemon::lives) {
            daemon.signal(Signal::KILL);
        }
    }
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A daemon's process, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Daemon(pub(crate) i32);

impl Daemon {
    pub(crate) fn proc(self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.0).into()
    }

    pub(crate) fn signal(self, signal: Signal) {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_raw(self.0).unwrap(), signal);
    }

    /// Whether it runs; one that waits for its parent's attention does not.
    pub(crate) fn lives(&self) -> bool {
        let stat = fs::read_to_string(self.proc("stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        stat.contains("(cibad)") && !matches!(state, None | Some('Z' | 'X'))
    }

    /// Returns resident memory in KiB.
    pub(crate) fn resident(self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// One connection.
pub(crate) struct Client(BufReader<UnixStream>);

impl Client {
    pub(crate) fn at(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn stream(&self) -> &UnixStream {
        self.0.get_ref()
    }

    pub(crate) fn send(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.stream().write_all(line.as_bytes()).unwrap();
    }

    /// Returns the next line, or `None` when the daemon has closed.
    pub(crate) fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no line: {error}"),
        }
    }

    pub(crate) fn ask(&mut self, line: &str) -> Value {
        self.send(line);
        self.line().expect("an answer")
    }

    pub(crate) fn hello(&mut self) -> Value {
        self.ask(r#"{"id":0,"op":"hello","protocol":1}"#)
    }

    /// Begins a request that is not answered while `server` is silent.
    pub(crate) fn wait_for(&mut self, server: &SilentServer, id: &str) {
        let url = &server.url;
        self.send(&format!(
            r#"{{"id":"{id}","op":"start","url":"{url}","profile":"{id}"}}"#
        ));
    }

    pub(crate) fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = self.0.read_to_end(&mut rest);
        rest
    }
}

/// Accepts by its backlog and never says a word.
pub(crate) struct SilentServer {
    url: String,
    _listener: std::net::TcpListener,
}

impl SilentServer {
    pub(crate) fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            _listener: listener,
        }
    }
}

/// Waits for a condition.
#[expect(
    clippy::disallowed_methods,
    reason = "the pace of looking; the condition ends the wait"
)]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

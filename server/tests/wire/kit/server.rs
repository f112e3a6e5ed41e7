//! The real program as a child process: started, read, told to leave, started again on the same store and port.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use store::{Key, OpenMode, Space, UnixSeconds};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::kit::PATIENCE;

/// The client secret of every `serve`; also what a forged HS256 id_token would be signed with.
pub(crate) const CLIENT_SECRET: &str = "the-secret-of-ciba-server-at-its-provider";

/// How long a server may take to leave: its own grace, and some more.
const LEAVES_WITHIN: Duration = Duration::from_secs(20);

/// Where a server keeps what outlives it: configuration, database, port.
pub(crate) struct Site {
    dir: Arc<TempDir>,
    issuer: String,
    options: Vec<(&'static str, String)>,
    rules: &'static str,
    has_store: bool,
    listen: String,
}

impl Site {
    pub(crate) fn new(issuer: &str) -> Self {
        Self {
            dir: Arc::new(tempfile::tempdir().unwrap()),
            issuer: issuer.to_owned(),
            options: Vec::new(),
            rules: "",
            has_store: false,
            listen: "127.0.0.1:0".to_owned(),
        }
    }

    /// Sets one option: `LIMITS__LOGIN_EXPIRES_IN`.
    pub(crate) fn with(mut self, option: &'static str, value: &str) -> Self {
        self.options.push((option, value.to_owned()));
        self
    }

    /// Writes `[[resource]]` rules.
    pub(crate) fn with_rules(mut self, rules: &'static str) -> Self {
        self.rules = rules;
        self
    }

    pub(crate) async fn start(&mut self) -> Server {
        let config = self.dir.path().join("ciba.toml");
        let text = format!(
            "listen = \"{}\"\n[store]\nurl = \"{}\"\n[login]\nissuer = \"{}\"\nclient_id = \"ciba\"\nclient_secret = \"{CLIENT_SECRET}\"\n[limits]\nlogins_per_minute = 100000\n{}",
            self.listen,
            self.store_url(),
            self.issuer,
            self.rules
        );
        std::fs::write(&config, text).unwrap();
        if !std::mem::replace(&mut self.has_store, true) {
            self.init().await;
        }
        let mut server = Server::spawn(self.command("serve")).await;
        server.dir = Some(Arc::clone(&self.dir));
        self.listen = server.address.clone();
        server
    }

    async fn init(&self) {
        let mut command = self.command("init");
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Returns a command with this site's configuration, which the first start has written.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = command();
        command
            .arg(name)
            .arg("--config")
            .arg(self.dir.path().join("ciba.toml"));
        for (option, value) in &self.options {
            command.env(format!("CIBA_SERVER__{option}"), value);
        }
        command
    }

    pub(crate) fn store(&self) -> Arc<dyn store::Store> {
        store::open(&self.store_url(), OpenMode::Create).unwrap()
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path().join("ciba.db")
    }

    fn store_url(&self) -> String {
        format!("sqlite:{}", self.database().display())
    }

    /// Returns the session's record whether it has expired or not.
    pub(crate) async fn record(&self, session: &str) -> Option<store::Record> {
        let key = Key {
            space: Space::Session,
            id: session,
        };
        self.store().get(key, UnixSeconds::new(0)).await.unwrap()
    }

    /// Returns how many people are on their way to the provider.
    pub(crate) async fn attempts(&self) -> u64 {
        tokio::task::yield_now().await;
        self.store()
            .count(Space::Login, UnixSeconds::new(0))
            .await
            .unwrap()
    }

    /// Returns the configuration as it was written.
    pub(crate) fn config_text(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("ciba.toml")).unwrap()
    }

    /// Returns every byte the server has on disk but its configuration.
    pub(crate) fn dump(&self) -> Vec<(String, Vec<u8>)> {
        let files = std::fs::read_dir(self.dir.path()).unwrap().map(Result::unwrap);
        files
            .filter(|file| file.file_name() != "ciba.toml")
            .map(|file| {
                let name = file.file_name().into_string().unwrap();
                (name, std::fs::read(file.path()).unwrap())
            })
            .collect()
    }
}

/// A running server.
pub(crate) struct Server {
    /// How it is reached; without a slash at the end.
    pub(crate) url: String,
    pub(crate) address: String,
    child: Child,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    /// Its database stays for as long as it runs.
    dir: Option<Arc<TempDir>>,
}

impl Server {
    /// `ciba-server dev`
    pub(crate) async fn dev() -> Self {
        let mut command = command();
        command.args(["dev", "--listen", "127.0.0.1:0"]);
        Self::spawn(command).await
    }

    async fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = child.stderr.take().unwrap();
        let stderr = tokio::spawn(keep(stderr, Arc::clone(&log)));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, stdout.read_line(&mut line)).await;
        let ready: Value = read
            .expect("ready in time")
            .ok()
            .and_then(|_| serde_json::from_str(&line).ok())
            .unwrap_or_else(|| panic!("no ready line: {}", log.lock().unwrap()));
        let stdout = tokio::spawn(keep(stdout, Arc::clone(&log)));
        Self {
            url: ready["url"].as_str().unwrap().to_owned(),
            address: ready["listen"].as_str().unwrap().to_owned(),
            child,
            log,
            readers: vec![stderr, stdout],
            dir: None,
        }
    }

    /// Waits until the log has a line with this.
    pub(crate) async fn until_said(&self, text: &str) {
        crate::kit::in_time(async {
            while !self.log.lock().unwrap().contains(text) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn terminate(&self) {
        let pid = Pid::from_raw(self.pid().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Tells the server to leave; returns what it has written.
    pub(crate) async fn stop(self) -> String {
        self.terminate();
        self.left().await
    }

    /// Waits until the server has left, cleanly; returns what it has written.
    pub(crate) async fn left(mut self) -> String {
        let status = tokio::time::timeout(LEAVES_WITHIN, self.child.wait()).await;
        for reader in self.readers {
            reader.await.unwrap();
        }
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        let status = status
            .unwrap_or_else(|_| panic!("it does not leave: {log}"))
            .unwrap();
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains("panicked"), "{log}");
        log
    }

    /// Ends the server as a power cut would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ciba-server"));
    command
        .env_clear()
        .env("CIBA_LOG", "debug")
        .env("NO_PROXY", "*")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn keep(mut from: impl tokio::io::AsyncRead + Unpin, log: Arc<Mutex<String>>) {
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        log.lock()
            .unwrap()
            .push_str(&String::from_utf8_lossy(&chunk[..read]));
    }
}

/// Fails if anything the server wrote holds one of these.
pub(crate) fn assert_unsaid(log: &str, secrets: &[&str]) {
    assert!(log.contains("serving"), "this is not a log: {log}");
    for secret in secrets {
        assert!(
            secret.len() >= 6 && !log.contains(secret),
            "a secret is in the log: {log}"
        );
    }
}

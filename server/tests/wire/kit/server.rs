//! The real program as a child process: started, read, told to leave.

use std::sync::Arc;
use std::time::Duration;

use ciba_tests::{PATIENCE, Process};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::process::Command;

/// How long a server may take to leave: its own grace, and some more.
const LEAVES_WITHIN: Duration = Duration::from_secs(20);

/// A running server.
pub(crate) struct Server {
    /// How it is reached; without a slash at the end.
    pub(crate) url: String,
    pub(crate) address: String,
    /// Where it listens for clients with certificates.
    pub(crate) clients: Option<String>,
    process: Process,
    /// Its database stays for as long as it runs.
    _dir: Option<Arc<TempDir>>,
}

impl Server {
    /// `ciba-server dev`
    pub(crate) async fn dev() -> Self {
        let mut command = command();
        command.args(["dev", "--listen", "127.0.0.1:0"]);
        Self::spawn(command, None).await
    }

    /// Starts a server and waits until it serves; `dir` is where its database lies.
    pub(crate) async fn spawn(command: Command, dir: Option<Arc<TempDir>>) -> Self {
        let mut process = Process::spawn(command).unwrap();
        let is_ready = |line: &serde_json::Value| line["ready"] == true;
        let ready = process
            .wait_json("its ready line", PATIENCE, is_ready)
            .await
            .unwrap();
        Self {
            url: ready["url"].as_str().unwrap().to_owned(),
            address: ready["listen"].as_str().unwrap().to_owned(),
            clients: ready["clients"].as_str().map(str::to_owned),
            process,
            _dir: dir,
        }
    }

    /// Waits until the log has a line with this.
    pub(crate) async fn until_said(&mut self, text: &str) {
        let says = |line: &str| line.contains(text).then_some(());
        self.process.wait_line(text, PATIENCE, says).await.unwrap();
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.pid().unwrap().as_raw_nonzero().get()
    }

    pub(crate) fn terminate(&self) {
        self.process.signal(Signal::TERM).unwrap();
    }

    /// Tells the server to look for what an operator changed.
    pub(crate) fn hang_up(&self) {
        self.process.signal(Signal::HUP).unwrap();
    }

    /// Tells the server to leave; returns what it has written.
    pub(crate) async fn stop(self) -> String {
        self.terminate();
        self.left().await
    }

    /// Waits until the server has left, cleanly; returns what it has written.
    pub(crate) async fn left(mut self) -> String {
        let status = self.process.finish(LEAVES_WITHIN).await.unwrap();
        let log = [self.process.stderr(), self.process.stdout()].concat();
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains("panicked"), "{log}");
        log
    }

    /// Ends the server as a power cut would.
    pub(crate) async fn kill(mut self) {
        self.process.signal(Signal::KILL).unwrap();
        self.process.exit(PATIENCE).await.unwrap();
    }
}

/// Returns the program with nothing of this machine's environment.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ciba-server"));
    command.env_clear().env("CIBA_LOG", "debug").env("NO_PROXY", "*");
    command
}

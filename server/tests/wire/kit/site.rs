//! Where a server keeps what outlives it: configuration, database, port.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ciba_tests::{Output, Process};
use rusqlite::Connection;
use serde_json::Value;
use store::{Key, OpenMode, Space, Swap, UnixSeconds};
use tempfile::TempDir;
use tokio::process::Command;

use crate::kit::server::{Server, command};
use crate::kit::session::Session;
use crate::kit::until;

/// The client secret of every `serve`; also what a forged HS256 id_token would be signed with.
pub(crate) const CLIENT_SECRET: &str = "the-secret-of-ciba-server-at-its-provider";

/// A directory with a configuration, and the server that is started in it.
pub(crate) struct Site {
    dir: Arc<TempDir>,
    issuer: String,
    options: Vec<(&'static str, String)>,
    /// TOML behind the settings that every site has.
    settings: String,
    has_store: bool,
    listen: String,
}

impl Site {
    pub(crate) fn new(issuer: &str) -> Self {
        Self {
            dir: Arc::new(tempfile::tempdir().unwrap()),
            issuer: issuer.to_owned(),
            options: Vec::new(),
            settings: String::new(),
            has_store: false,
            listen: "127.0.0.1:0".to_owned(),
        }
    }

    /// Sets one option in the environment: `LIMITS__LOGIN_EXPIRES_IN`.
    pub(crate) fn with(mut self, option: &'static str, value: &str) -> Self {
        self.options.push((option, value.to_owned()));
        self
    }

    /// Appends TOML to the configuration. What is in a table that every site has is set by [`Self::with`].
    pub(crate) fn and(mut self, toml: impl Into<String>) -> Self {
        self.settings.push_str(&toml.into());
        self.settings.push('\n');
        self
    }

    /// Changes the configuration that the next start has.
    pub(crate) fn change(&mut self, from: &str, to: &str) {
        assert!(self.settings.contains(from), "{from} is not there");
        self.settings = self.settings.replace(from, to);
    }

    /// Takes the approval hook out: a server that others reach has none (C-235).
    pub(crate) fn without_hook(mut self) -> Self {
        let lines = self.settings.lines();
        let kept = lines.filter(|line| !line.starts_with("test_hook_secret"));
        self.settings = kept.map(|line| format!("{line}\n")).collect();
        self
    }

    /// Starts the server: each time at the same address, with the same store.
    pub(crate) async fn start(&mut self) -> Server {
        std::fs::write(self.config(), self.config_toml()).unwrap();
        if !std::mem::replace(&mut self.has_store, true) {
            let made = self.run("init").await;
            assert!(made.status.success(), "{made:?}");
        }
        let server = Server::spawn(self.command("serve"), Some(Arc::clone(&self.dir))).await;
        self.listen.clone_from(&server.address);
        server
    }

    fn config_toml(&self) -> String {
        format!(
            "listen = \"{}\"\n[store]\nurl = \"{}\"\n[login]\nissuer = \"{}\"\nclient_id = \"ciba\"\nclient_secret = \"{CLIENT_SECRET}\"\n[limits]\nlogins_per_minute = 100000\n{}",
            self.listen,
            self.store_url(),
            self.issuer,
            self.settings
        )
    }

    /// Returns a command with this site's configuration, which the first start has written. A subcommand's name has a space
    /// in it.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = command();
        command.args(name.split(' ')).arg("--config").arg(self.config());
        for (option, value) in &self.options {
            command.env(format!("CIBA_SERVER__{option}"), value);
        }
        command
    }

    /// Runs such a command to its end.
    pub(crate) async fn run(&self, name: &str) -> Output {
        let mut process = Process::spawn(self.command(name)).unwrap();
        Output::of(&mut process).await.unwrap()
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("ciba.toml")
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.dir.path().join("ciba.db")
    }

    fn store_url(&self) -> String {
        format!("sqlite:{}", self.database().display())
    }

    fn store(&self) -> Arc<dyn store::Store> {
        store::open(&self.store_url(), OpenMode::Create).unwrap()
    }

    /// Lets nothing be written to the database until what this returns is dropped.
    pub(crate) fn lock_database(&self) -> Connection {
        let lock = Connection::open(self.database()).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        lock
    }

    /// Returns the session's record whether it has expired or not.
    pub(crate) async fn record(&self, session: &Session) -> Option<store::Record> {
        self.store().get(key(session), UnixSeconds::new(0)).await.unwrap()
    }

    /// Returns what the session's record says of its login.
    pub(crate) async fn stage(&self, session: &Session) -> Value {
        let record = self.record(session).await.unwrap();
        let mut record: Value = serde_json::from_slice(&record.value).unwrap();
        record["stage"].take()
    }

    /// Waits until a session's login is no longer as it was.
    pub(crate) async fn until_stage_differs(&self, session: &Session, before: &Value) {
        until("another record", async || {
            (self.stage(session).await != *before).then_some(())
        })
        .await;
    }

    /// Changes the tokens in a session's record.
    pub(crate) async fn rewrite(&self, session: &Session, edit: impl FnOnce(&mut Value)) {
        let found = self.record(session).await.unwrap();
        let mut record: Value = serde_json::from_slice(&found.value).unwrap();
        edit(&mut record["stage"]["active"]["tokens"]);
        let value = serde_json::to_vec(&record).unwrap();
        let (later, now) = (UnixSeconds::new(u64::MAX >> 2), UnixSeconds::new(0));
        let swapped = self
            .store()
            .compare_and_set(key(session), found.version, value, later, now)
            .await
            .unwrap();
        assert!(matches!(swapped, Swap::Done(_)));
    }

    /// Returns how many people are on their way to the provider.
    pub(crate) async fn attempts(&self) -> u64 {
        self.count(Space::Login).await
    }

    /// Returns how many records of a kind there are.
    pub(crate) async fn count(&self, space: Space) -> u64 {
        let count = self.store().count(space, UnixSeconds::new(0)).await;
        count.unwrap()
    }

    /// Returns every byte the server has on disk but its configuration: the database, and the keys beside it.
    pub(crate) fn dump(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = files_in(self.dir.path(), "");
        files.extend(files_in(&self.dir.path().join("keys"), "keys/"));
        let config = self.config();
        files.retain(|(name, _)| self.dir.path().join(name) != config);
        files
    }
}

fn files_in(folder: &Path, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|file| {
            let name = file.file_name().into_string().unwrap();
            (format!("{prefix}{name}"), std::fs::read(file.path()).unwrap())
        })
        .collect()
}

fn key(session: &Session) -> Key<'_> {
    Key {
        space: Space::Session,
        id: session.id.as_str(),
    }
}

//! What the user decides about the daemon: `config.toml`, read at start and again at each hangup. A file that is wrong
//! changes nothing but that no rule is in force, and `status`, `doctor` and the log say so.

mod explain;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipc_proto::{Configuration, KeychainKind};
use rustix::fs::OFlags;
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::level_filters::LevelFilter;
use tracing::warn;

use self::explain::explain;
use crate::ownership::{self, NotOurs};
use crate::printable::printable;
use crate::rules::Rules;

/// Bytes of a configuration.
const MAX_FILE: usize = 64 * 1024;

/// Characters of the file's path that are shown: PATH_MAX on Linux.
const MAX_PATH: usize = 4096;

/// The file. An unknown key is an error: a misspelt option that is ignored is worse than none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    daemon: DaemonSection,
    #[serde(rename = "host")]
    rules: Rules,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DaemonSection {
    keychain: Option<KeychainKind>,
    log: Level,
    notifications: bool,
}

impl Default for DaemonSection {
    fn default() -> Self {
        Self {
            keychain: None,
            log: Level::Info,
            notifications: true,
        }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::ERROR,
            Level::Warn => Self::WARN,
            Level::Info => Self::INFO,
            Level::Debug => Self::DEBUG,
            Level::Trace => Self::TRACE,
        }
    }
}

/// Why a file decides nothing. The texts quote no more of it than a misspelt name.
#[derive(Debug, PartialEq, Eq, Error)]
enum ConfigError {
    #[error("cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    #[error("is not a file")]
    NotAFile,
    #[error("{0}")]
    NotOurs(#[from] NotOurs),
    #[error("is larger than {} KiB", MAX_FILE / 1024)]
    TooLarge,
    #[error("is not UTF-8")]
    NotText,
    #[error("{0}")]
    Syntax(String),
}

impl Config {
    /// Reads a file. One that is not there decides nothing, and is no error.
    fn read(file: &Path, uid: u32) -> Result<Self, ConfigError> {
        match text(file, uid)? {
            Some(text) => Self::parse(&text),
            None => Ok(Self::default()),
        }
    }

    fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Syntax(explain(&error, text)))
    }
}

fn text(file: &Path, uid: u32) -> Result<Option<String>, ConfigError> {
    let unreadable = |error: io::Error| ConfigError::Unreadable(error.kind());
    // Opening a pipe would wait until another process writes to it.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = match File::options().read(true).custom_flags(flags).open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let facts = file.metadata().map_err(unreadable)?;
    check(facts.is_file(), facts.uid(), facts.mode(), uid)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > MAX_FILE {
        return Err(ConfigError::TooLarge);
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| ConfigError::NotText)
}

/// Decides whether a file speaks for the user `uid`: theirs, or root's, who may do everything as it is. A link is
/// as good as what it leads to.
fn check(is_file: bool, owner: u32, mode: u32, uid: u32) -> Result<(), ConfigError> {
    if !is_file {
        Err(ConfigError::NotAFile)
    } else {
        Ok(ownership::check(owner, mode, uid)?)
    }
}

/// What is in force; cheap to clone.
#[derive(Clone)]
pub(crate) struct Settings {
    source: Arc<Source>,
    current: watch::Sender<Current>,
}

/// Where the configuration comes from, and for whom.
struct Source {
    file: Option<PathBuf>,
    uid: u32,
}

#[derive(Default)]
struct Current {
    config: Config,
    /// What is wrong with the file, and what holds instead.
    problem: Option<String>,
}

impl Settings {
    /// Reads the file; a user without a home has none. Nothing is logged yet: how much, this decides.
    pub(crate) fn read(file: Option<PathBuf>, uid: u32) -> Self {
        let settings = Self {
            source: Arc::new(Source { file, uid }),
            current: watch::Sender::default(),
        };
        settings.apply(settings.source.read(), "the defaults hold");
        settings
    }

    /// Returns where a login is to be kept when its person does not say.
    pub(crate) fn keychain(&self) -> Option<KeychainKind> {
        self.current.borrow().config.daemon.keychain
    }

    /// Returns how much is logged.
    pub(crate) fn log(&self) -> LevelFilter {
        self.current.borrow().config.daemon.log.into()
    }

    /// Whether the desktop is told of logins that end.
    pub(crate) fn notifications(&self) -> bool {
        self.current.borrow().config.daemon.notifications
    }

    /// Calls this with the rules, in order.
    ///
    /// # Errors
    ///
    /// What is wrong with the file. A token for the wrong service is worse than none, so no rule is in force then, not
    /// even one that was read before.
    pub(crate) fn with_rules<T>(&self, look: impl FnOnce(&Rules) -> T) -> Result<T, String> {
        let current = self.current.borrow();
        match &current.problem {
            Some(problem) => Err(problem.clone()),
            None => Ok(look(&current.config.rules)),
        }
    }

    /// Returns where the configuration is, what is wrong with it, and the rules in force.
    pub(crate) fn shown(&self) -> Configuration {
        let file = self.source.file.as_ref();
        Configuration {
            file: file.map(|file| printable(&file.to_string_lossy(), MAX_PATH)),
            problem: self.problem(),
            rules: self.with_rules(Rules::list).unwrap_or_default(),
        }
    }

    /// Returns what is wrong with the file, for people.
    pub(crate) fn problem(&self) -> Option<String> {
        self.current.borrow().problem.clone()
    }

    /// Reads the file again. A home on a network may be slow: clients are answered meanwhile.
    pub(crate) async fn read_again(&self) {
        let source = Arc::clone(&self.source);
        if let Ok(read) = spawn_blocking(move || source.read()).await {
            self.apply(read, "what was read before holds");
        }
    }

    /// Logs what is wrong with the file.
    pub(crate) fn report(&self) {
        if let Some(problem) = self.problem() {
            warn!(problem, "the configuration is not used");
        }
    }

    fn apply(&self, read: Result<Config, String>, otherwise: &str) {
        self.current.send_modify(|current| match read {
            Ok(config) => {
                *current = Current {
                    config,
                    problem: None,
                }
            }
            Err(problem) => current.problem = Some(format!("{problem}; {otherwise}")),
        });
    }
}

impl Source {
    fn read(&self) -> Result<Config, String> {
        let Some(file) = &self.file else {
            return Ok(Config::default());
        };
        Config::read(file, self.uid).map_err(|error| format!("{}: {error}", file.display()))
    }
}

#[cfg(test)]
impl Settings {
    /// Settings of a user who has decided nothing.
    pub(crate) fn of_nobody() -> Self {
        Self::read(None, 0)
    }

    /// Settings as a file with this text makes them.
    pub(crate) fn of(text: &str) -> Self {
        let settings = Self::of_nobody();
        settings.apply(Ok(Config::parse(text).unwrap()), "");
        settings
    }
}

#[cfg(test)]
mod tests;

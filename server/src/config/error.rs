//! What can be wrong with a configuration.

use std::path::PathBuf;

use thiserror::Error;

use super::explain;

/// What is wrong with a configuration. The text says where and what to write instead.
#[derive(Debug, Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{place}: {problem}")]
    Syntax {
        /// The file with line and column, or the environment.
        place: String,
        /// At which key, and what.
        problem: String,
    },
    /// A value that cannot be.
    #[error("{key}: {problem}")]
    Value {
        /// The key, dotted.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Error {
    pub(super) fn syntax(place: String, error: toml::de::Error) -> Self {
        let problem = explain::problem(error);
        Self::Syntax { place, problem }
    }

    pub(super) fn value(key: &str, problem: impl Into<String>) -> Self {
        Self::Value {
            key: key.to_owned(),
            problem: problem.into(),
        }
    }
}

//! What `doctor` finds: one check after the other, each with what to do about it.

use serde::{Deserialize, Serialize};

use crate::ProfileName;

/// The answer to `diagnose`: what the daemon sees of itself and its surroundings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// In the order in which a person should read them.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at, in a word or two: `keychain`, `server`, `clock`.
    pub name: String,
    /// The login it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, for people.
    pub message: String,
    /// What to do next, where something is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    /// A thing that is as it should be.
    pub fn ok(name: &str, message: impl Into<String>) -> Self {
        Self::new(Verdict::Ok, name, message)
    }

    /// A thing that works, and could be better.
    pub fn warning(name: &str, message: impl Into<String>) -> Self {
        Self::new(Verdict::Warning, name, message)
    }

    /// A thing that does not work.
    pub fn failure(name: &str, message: impl Into<String>) -> Self {
        Self::new(Verdict::Failure, name, message)
    }

    fn new(verdict: Verdict, name: &str, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            profile: None,
            verdict,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Says which login it is about.
    #[must_use]
    pub fn of(self, profile: ProfileName) -> Self {
        Self {
            profile: Some(profile),
            ..self
        }
    }
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and could be better.
    Warning,
    /// It does not work.
    Failure,
}

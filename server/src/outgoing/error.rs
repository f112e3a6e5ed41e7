//! Why a call to another server got no answer, in words without the URL: its query may be a secret.

use thiserror::Error;

use super::address::Special;

/// Why a call got no answer.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    /// No client could be made.
    #[error("the system's certificates cannot be read")]
    Certificates,
    /// No answer came, or not all of it.
    #[error("{}", plain(.0))]
    Http(#[from] reqwest::Error),
    /// The answer has more bytes than are read.
    #[error("the answer is too long")]
    TooLong,
    /// The peer is down or busy; its status.
    #[error("it answers {0}")]
    Down(u16),
    /// A header could not be written.
    #[error("a header cannot be written")]
    Malformed,
    /// The URL is not https (C-400).
    #[error("its URL is not https")]
    NotHttps,
    /// The URL's host is an address that a client must not name (C-402).
    #[error(transparent)]
    Special(#[from] Special),
}

impl CallError {
    /// Whether our own rules forbid the call: it will not go better later.
    pub(crate) fn is_forbidden(&self) -> bool {
        match self {
            Self::NotHttps | Self::Special(_) | Self::Malformed => true,
            Self::Http(error) => special(error).is_some(),
            Self::Certificates | Self::TooLong | Self::Down(_) => false,
        }
    }
}

/// Returns what our own resolver said.
fn special(error: &reqwest::Error) -> Option<&Special> {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.into_iter().find_map(|cause| cause.downcast_ref())
}

/// Returns what broke a call, in words.
fn plain(error: &reqwest::Error) -> String {
    if let Some(special) = special(error) {
        return special.to_string();
    }
    let text = if error.is_timeout() {
        "it does not answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    text.to_owned()
}

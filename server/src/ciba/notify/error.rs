//! Why a person could not be told, in words for the log: without addresses, links and what others answered.

use lettre::transport::smtp;
use thiserror::Error;

use crate::outgoing::CallError;
use crate::program::ProgramError;

/// Why a person could not be told in one way.
#[derive(Debug, Error)]
pub(super) enum NotifyError {
    /// The limit of time is over.
    #[error("it took too long and was ended")]
    Late,
    /// The program did not do its part.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The webhook gave no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The webhook refused.
    #[error("it answers {0}")]
    Status(u16),
    /// The person's or our own address, or another part of the mail, cannot be written.
    #[error("the mail cannot be written")]
    Mail,
    /// The mail server did not take the mail.
    #[error("{}", plain(.0))]
    Smtp(#[from] smtp::Error),
}

/// Returns what broke, without the mail server's words: they may have the person's address.
fn plain(error: &smtp::Error) -> String {
    if let Some(code) = error.status() {
        return format!("the mail server answers {code}");
    }
    let text = if error.is_tls() {
        "TLS with the mail server failed"
    } else if error.is_timeout() {
        "the mail server does not answer in time"
    } else if error.is_client() {
        "the mail server does not offer what is needed"
    } else {
        "no connection to the mail server"
    };
    text.to_owned()
}

//! The real `ciba` against a scripted daemon: what it sends, prints, and ends with.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod add;
mod approvals;
mod audit;
mod completions;
mod credential;
mod curl;
mod doctor;
mod errors;
mod exec;
mod forward;
mod harness;
mod launch;
mod login;
mod logs;
mod output;
#[cfg(feature = "real")]
mod real_curl;
mod restart;
mod service;
mod session;
mod token;
mod trust;

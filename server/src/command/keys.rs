//! `ciba-server keys`: an operator looks at the signing keys, and replaces them.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::clock::now;
use crate::config::Config;
use crate::oauth::keys::{self, Listed, Signs, State};

/// Publishes new keys, which sign a day later or `at_once`; a server that runs notices.
///
/// # Errors
///
/// There are no keys, or they cannot be used or written.
pub fn rotate_keys(config: &Config, at_once: bool) -> anyhow::Result<()> {
    let signs = if at_once { Signs::Now } else { Signs::Later };
    keys::rotate(folder(config)?, config.keys.retired_for, signs).context("rotating the keys")?;
    list_keys(config)
}

/// Prints the keys: algorithm, thumbprint, and what each is for.
///
/// # Errors
///
/// There are no keys, or they cannot be read.
pub fn list_keys(config: &Config) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for key in keys::list(folder(config)?).context("reading the keys")? {
        let what = purpose(&key, config.keys.retired_for, now().seconds());
        writeln!(out, "{:<5}  {}  {what}", key.alg, key.kid)?;
    }
    Ok(())
}

fn folder(config: &Config) -> anyhow::Result<&Path> {
    let folder = config.keys.folder.as_deref();
    folder.context("the store is in memory, and so are the keys: there is nothing to look at")
}

fn purpose(key: &Listed, kept: u64, now: u64) -> String {
    match key.state {
        State::Next => format!("next, signs in {}", hours(key.signs_from, now)),
        State::Current => "current".into(),
        State::Retired { since } => {
            let end = since.saturating_add(kept);
            format!("retired, published for another {}", hours(end, now))
        }
    }
}

/// Returns how long it is until `then`, in hours that have begun.
fn hours(then: u64, now: u64) -> String {
    format!("{} h", then.saturating_sub(now).div_ceil(3600))
}

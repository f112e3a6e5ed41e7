//! `ciba-server init`: makes the store and the keys, for once.

use std::path::Path;

use anyhow::Context as _;
use store::OpenMode;

use crate::config::Config;
use crate::oauth::keys::{self, Made};

/// Makes the store and the keys; what is there stays as it is.
///
/// # Errors
///
/// What kept it from being made, or what is wrong with the one that is there.
pub fn init(config: &Config) -> anyhow::Result<()> {
    let place = store::place(&config.store);
    match store::open(&config.store, OpenMode::Existing) {
        Ok(_) => println!("store: {place} is there already"),
        Err(store::Error::Missing) => {
            store::open(&config.store, OpenMode::Create).with_context(|| format!("making {place}"))?;
            println!("store: made {place}");
        }
        Err(error) => return Err(error).with_context(|| format!("opening {place}")),
    }
    config.keys.folder.as_deref().map_or(Ok(()), make_keys)
}

fn make_keys(folder: &Path) -> anyhow::Result<()> {
    let place = folder.display();
    match keys::make(folder).context("making the keys")? {
        Made::Before => println!("keys: {place} is there already"),
        Made::New => println!("keys: made {place}"),
    }
    Ok(())
}

/// Returns what to do about a store that is not there.
pub(super) fn advice(url: &str, file: &Path) -> String {
    let place = store::place(url);
    format!(
        "there is no store at {place}; if there never was one, make it: {}",
        how_to_make(file)
    )
}

/// Returns what to do about keys that are not there.
pub(super) fn advice_on_keys(folder: &Path, file: &Path) -> String {
    let place = folder.display();
    format!(
        "there are no keys at {place}; if there never were any, make them: {}",
        how_to_make(file)
    )
}

fn how_to_make(file: &Path) -> String {
    // Under systemd the configuration is a credential, which a shell does not see, and the unit's user no shell has.
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    match credentials.is_some_and(|folder| file.starts_with(folder)) {
        true => "systemctl start ciba-server-init".into(),
        false => format!("ciba-server init --config {}", file.display()),
    }
}

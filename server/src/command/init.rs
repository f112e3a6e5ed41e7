//! `ciba-server init`: makes the store, for once.

use std::path::Path;

use anyhow::Context as _;
use store::OpenMode;

use crate::config::Config;

/// Makes the store; one that is there stays as it is.
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
    Ok(())
}

/// Returns what to do about a store that is not there.
pub(super) fn advice(url: &str, file: &Path) -> String {
    // Under systemd the configuration is a credential, which a shell does not see, and the unit's user no shell has.
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    let how = match credentials.is_some_and(|folder| file.starts_with(folder)) {
        true => "systemctl start ciba-server-init".into(),
        false => format!("ciba-server init --config {}", file.display()),
    };
    let place = store::place(url);
    format!("there is no store at {place}; if there never was one, make it: {how}")
}

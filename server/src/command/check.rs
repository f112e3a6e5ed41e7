//! `ciba-server check`: what `serve` would stumble over, without serving.

use std::path::Path;

use anyhow::Context as _;
use store::OpenMode;

use super::init::{advice, advice_on_keys};
use crate::config::Config;
use crate::oauth::keys::{self, Keys};
use crate::tls::Tls;
use crate::token::Provider;

/// Tries the store, the keys and the identity provider, and prints the rules.
///
/// # Errors
///
/// The first thing that is wrong.
pub async fn check(config: Config, file: &Path) -> anyhow::Result<()> {
    let public_url = config.public_url(config.listen);
    match store::open(&config.store, OpenMode::Existing) {
        Ok(store) => {
            store.ping().await.context("asking the store")?;
            println!("store: ok");
        }
        // Not made here: it would belong to whoever checks, not to whoever serves.
        Err(store::Error::Missing) => println!("store: {}", advice(&config.store, file)),
        Err(error) => return Err(error).context("opening the store"),
    }
    match Keys::open(config.keys.folder.as_deref(), config.keys.retired_for) {
        Ok(_) => println!("keys: ok"),
        Err(keys::Error::Missing(_)) if !config.serves_clients() => {
            println!("keys: none; only OAuth clients need them");
        }
        Err(keys::Error::Missing(folder)) => println!("keys: {}", advice_on_keys(&folder, file)),
        Err(error) => return Err(error).context("opening the keys"),
    }
    Tls::open(&config.tls).context("preparing TLS")?;
    if config.tls.pair.is_some() {
        println!("tls: ok");
    }
    println!("resources, the first that matches decides:");
    for rule in &config.resources {
        println!("  {rule}");
    }
    let callback = public_url
        .join("auth/callback")
        .context("making the callback's URL")?;
    let issuer = &config.login.issuer;
    let provider =
        Provider::new(&config.login, callback.clone()).context("preparing the identity provider")?;
    provider
        .check()
        .await
        .with_context(|| format!("looking for {issuer}"))?;
    println!("identity provider: ok ({issuer})");
    println!("callback to register there: {callback}");
    Ok(())
}

//! A site as an operator runs it: `ciba-server serve` on SQLite, and an OpenID provider that is not ours.

use anyhow::Result;
use ciba_tests::{Idp, Server, World, free_port};

/// Whom the access tokens are for: the default resource of a login.
pub(crate) const RESOURCE: &str = "urn:d:unified-gateway";

/// The options of a provider that signs alice in without a page of its own.
pub(crate) const UNASKED: [&str; 4] = ["--login", "auto:alice", "--consent", "auto"];

/// A home, a provider, and the configuration of a server between them.
pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) idp: Idp,
    config: String,
}

impl Site {
    /// Starts the provider, with these options beside those that every site has.
    pub(crate) async fn new(options: &[&str]) -> Result<Self> {
        let port = free_port()?;
        let listen = format!("listen = \"127.0.0.1:{port}\"");
        Self::at(&format!("http://127.0.0.1:{port}"), &listen, options).await
    }

    /// A site that browsers find at `public_url`; `settings` are the configuration's first lines.
    pub(crate) async fn at(public_url: &str, settings: &str, options: &[&str]) -> Result<Self> {
        let idp = provider(public_url, options).await?;
        let config = format!(
            "{settings}\nstore.url = \"sqlite:ciba.db\"\n[login]\nissuer = \"{}\"\nclient_id = \"{}\"\n\
             client_secret = \"{}\"\nresource = \"{RESOURCE}\"\n",
            idp.issuer, idp.client_id, idp.client_secret
        );
        Ok(Self {
            world: World::new()?,
            idp,
            config,
        })
    }

    /// Returns the server's configuration.
    pub(crate) fn config(&self) -> &str {
        &self.config
    }

    /// Starts the server: each time at the same address, with the same store.
    pub(crate) async fn server(&self) -> Result<Server> {
        self.world.server(&self.config).await
    }
}

/// Starts the provider of a server that browsers find at `public_url`.
pub(crate) async fn provider(public_url: &str, options: &[&str]) -> Result<Idp> {
    let callback = format!("{public_url}/auth/callback");
    let common = [
        "--redirect-uri",
        &callback,
        "--at-format",
        "jwt",
        "--resource",
        RESOURCE,
    ];
    Idp::start(&[&common, options].concat()).await
}

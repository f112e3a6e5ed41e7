//! `ciba-server client`: an administrator adds clients, looks at them, switches them off and on, and removes them, also
//! while a server runs. The server sees a change at the next request.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use store::OpenMode;

use super::table::table;
use crate::config::{Config, Terms, is_id};
use crate::oauth::client::{CIBA_GRANT, Client, RegisteredBy};
use crate::oauth::clients::{Clients, ClientsError};
use crate::oauth::configured;
use crate::oauth::enrol::{enrol, new_id};
use crate::oauth::metadata::unknown_member;
use crate::oauth::offer::Offer;

/// What an administrator does with clients.
#[derive(Subcommand)]
pub enum ClientCommand {
    /// Add a client; print its id and, only this once, its secret
    Add(Add),
    /// Print the clients
    List {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Let a client fail from now on; its open requests cannot be approved any more
    Disable(Named),
    /// Let a disabled client work again
    Enable(Named),
    /// Remove a client for good
    Remove(Named),
}

/// A client that is to be added. What no option says is in the file of `--metadata`.
#[derive(Args)]
pub struct Add {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The name that people see when they are asked
    #[arg(long)]
    name: Option<String>,
    /// How tokens reach the client: poll, ping or push
    #[arg(long)]
    mode: Option<String>,
    /// Where the client is told, for ping and push
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// A grant type that it may use; for each one more
    #[arg(long = "grant", value_name = "GRANT_TYPE")]
    grants: Vec<String>,
    /// The scopes that it may ask for, with a space between two
    #[arg(long)]
    scope: Option<String>,
    /// client_secret_basic, client_secret_post or private_key_jwt
    #[arg(long, value_name = "METHOD")]
    auth_method: Option<String>,
    /// Where its public keys are
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// A JSON object with client metadata (RFC 7591); `terms` in it is what `[client.terms]` is in the configuration
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// Its id, instead of a random one
    #[arg(long)]
    id: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// A client that is there.
#[derive(Args)]
pub struct Named {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Its id
    id: String,
}

impl ClientCommand {
    /// The configuration file.
    pub fn config(&self) -> &Path {
        match self {
            Self::Add(add) => &add.config,
            Self::List { config, .. } => config,
            Self::Disable(named) | Self::Enable(named) | Self::Remove(named) => &named.config,
        }
    }
}

/// Does it.
///
/// # Errors
///
/// What is wrong with the client, or with the store.
pub async fn client(command: ClientCommand, config: &Config) -> anyhow::Result<()> {
    let office = Office::open(config)?;
    match command {
        ClientCommand::Add(add) => office.add(add).await,
        ClientCommand::List { json, .. } => office.list(json).await,
        ClientCommand::Disable(named) => office.switch(&named.id, true).await,
        ClientCommand::Enable(named) => office.switch(&named.id, false).await,
        ClientCommand::Remove(named) => office.remove(&named.id).await,
    }
}

/// Where clients are looked after.
struct Office {
    clients: Clients,
    offer: Offer,
}

impl Office {
    fn open(config: &Config) -> anyhow::Result<Self> {
        let offer = Offer::of(config, &config.public_url(config.listen));
        let configured = configured::clients(&config.clients, &offer)?;
        let store = open_store(config)?;
        Ok(Self {
            clients: Clients::new(configured, store),
            offer,
        })
    }

    async fn add(&self, mut add: Add) -> anyhow::Result<()> {
        let mut metadata = add
            .metadata
            .take()
            .map(|file| read(&file))
            .transpose()?
            .unwrap_or_default();
        let terms = metadata
            .remove("terms")
            .map(serde_json::from_value::<Terms>)
            .transpose();
        let terms = terms.context("terms")?.unwrap_or_default();
        add.write_into(&mut metadata);
        if let Some(unknown) = unknown_member(&metadata) {
            bail!("unknown member `{}`", unknown.escape_debug());
        }
        let id = add.id.unwrap_or_else(new_id);
        anyhow::ensure!(
            is_id(&id),
            "the id must have 1 to 200 printable ASCII characters and no space"
        );
        let enrolled = enrol(id, metadata, &self.offer);
        let mut enrolled = enrolled.map_err(|refusal| anyhow::anyhow!(refusal.description()))?;
        enrolled.client.metadata.terms = terms;
        enrolled.client.registered_by = RegisteredBy::Administrator;
        self.clients.add(&enrolled.client).await?;
        let mut out = std::io::stdout().lock();
        if add.json {
            writeln!(out, "{}", enrolled.response())?;
            return Ok(());
        }
        writeln!(out, "client_id      {}", enrolled.client.id)?;
        if let Some(secret) = &enrolled.secret {
            writeln!(out, "client_secret  {}", **secret)?;
            eprintln!("The secret is shown only now: the server keeps its hash alone.");
        }
        Ok(())
    }

    async fn list(&self, is_json: bool) -> anyhow::Result<()> {
        let mut clients = self.clients.all().await?;
        let mut out = std::io::stdout().lock();
        if is_json {
            let listed: Vec<Value> = clients.iter().map(|client| self.told(client)).collect();
            writeln!(out, "{}", Value::from(listed))?;
            return Ok(());
        }
        clients.sort_by(|one, other| one.metadata.client_name.cmp(&other.metadata.client_name));
        let rows: Vec<_> = clients.iter().map(|client| self.row(client)).collect();
        write!(
            out,
            "{}",
            table(["id", "state", "from", "mode", "authentication", "name"], &rows)
        )?;
        Ok(())
    }

    fn row(&self, client: &Client) -> [String; 6] {
        let metadata = &client.metadata;
        let name = |value: Value| value.as_str().unwrap_or("-").to_owned();
        [
            client.id.clone(),
            if client.disabled { "disabled" } else { "enabled" }.into(),
            self.origin(client).into(),
            name(json!(metadata.backchannel_token_delivery_mode)),
            name(json!(metadata.token_endpoint_auth_method)),
            metadata.client_name.clone(),
        ]
    }

    /// Returns what is known of a client, without what its secret is checked against.
    fn told(&self, client: &Client) -> Value {
        let mut told = json!(client.metadata);
        told["client_id"] = json!(client.id);
        told["client_id_issued_at"] = json!(client.created_at);
        told["disabled"] = json!(client.disabled);
        told["from"] = json!(self.origin(client));
        told
    }

    fn origin(&self, client: &Client) -> &'static str {
        if self.clients.is_configured(&client.id) {
            "configuration"
        } else {
            "store"
        }
    }

    async fn switch(&self, id: &str, disabled: bool) -> anyhow::Result<()> {
        self.in_store(id)?;
        let edited = self.clients.edit(id, |client| client.disabled = disabled).await;
        changed(id, edited)
    }

    async fn remove(&self, id: &str) -> anyhow::Result<()> {
        self.in_store(id)?;
        changed(id, self.clients.remove(id).await)
    }

    fn in_store(&self, id: &str) -> anyhow::Result<()> {
        if self.clients.is_configured(id) {
            bail!("client {id} is in the configuration: change it there, and restart the server");
        }
        Ok(())
    }
}

impl Add {
    /// Writes the options over the members of a file.
    fn write_into(&mut self, metadata: &mut Map<String, Value>) {
        let is_redeemed = matches!(self.mode.as_deref(), Some("poll" | "ping"));
        if self.grants.is_empty() && !metadata.contains_key("grant_types") && is_redeemed {
            self.grants.push(CIBA_GRANT.into());
        }
        if !self.grants.is_empty() {
            metadata.insert("grant_types".into(), json!(self.grants));
        }
        for (member, option) in [
            ("client_name", &self.name),
            ("backchannel_token_delivery_mode", &self.mode),
            ("backchannel_client_notification_endpoint", &self.endpoint),
            ("scope", &self.scope),
            ("token_endpoint_auth_method", &self.auth_method),
            ("jwks_uri", &self.jwks_uri),
        ] {
            if let Some(value) = option {
                metadata.insert(member.into(), json!(value));
            }
        }
    }
}

fn read(file: &Path) -> anyhow::Result<Map<String, Value>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a JSON object", file.display()))
}

fn changed(id: &str, result: Result<(), ClientsError>) -> anyhow::Result<()> {
    result.with_context(|| format!("client {}", id.escape_debug()))
}

/// Opens the store beside a server that may be running.
pub(super) fn open_store(config: &Config) -> anyhow::Result<Arc<dyn store::Store>> {
    if store::folder(&config.store).is_none() {
        bail!("the store is in memory: only the server itself can see what is in it");
    }
    let place = store::place(&config.store);
    store::open(&config.store, OpenMode::Existing).with_context(|| format!("opening {place}"))
}

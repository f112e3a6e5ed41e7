//! `ciba-server user`: an administrator looks at the people that the server knows, switches them off and on, and sets the
//! code that clients may have to send (C-201), also while a server runs.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::open_store;
use super::secret_input::read_secret;
use super::table::table;
use crate::config::Config;
use crate::users::{User, Users, hashed_code};

/// What an administrator does with people.
#[derive(Subcommand)]
pub enum UserCommand {
    /// Print the people that the server knows
    List {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Ask this person nothing more, and give no tokens for what they were asked before
    Disable(Named),
    /// Let a disabled person be asked again
    Enable(Named),
    /// Set a person's user code; it is read from standard input
    SetCode {
        /// Whose
        #[command(flatten)]
        named: Named,
        /// Take the code away instead
        #[arg(long)]
        remove: bool,
    },
}

/// A person that the server knows.
#[derive(Args)]
pub struct Named {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Their `sub`, e-mail address, user name or phone number
    user: String,
}

impl UserCommand {
    /// The configuration file.
    pub fn config(&self) -> &Path {
        match self {
            Self::List { config, .. } => config,
            Self::Disable(named) | Self::Enable(named) | Self::SetCode { named, .. } => &named.config,
        }
    }
}

/// Does it.
///
/// # Errors
///
/// There is no such person, or what is wrong with the store.
pub async fn user(command: UserCommand, config: &Config) -> anyhow::Result<()> {
    let configured = config.users.iter().map(User::from).collect();
    let users = Users::new(configured, Vec::new(), open_store(config)?);
    match command {
        UserCommand::List { json, .. } => list(&users, json).await,
        UserCommand::Disable(named) => switch(&users, &named.user, true).await,
        UserCommand::Enable(named) => switch(&users, &named.user, false).await,
        UserCommand::SetCode { named, remove } => set_code(&users, &named.user, remove).await,
    }
}

async fn list(users: &Users, is_json: bool) -> anyhow::Result<()> {
    let all = users.all().await?;
    let mut out = std::io::stdout().lock();
    if is_json {
        let told: Vec<Value> = all.iter().map(|user| told(users, user)).collect();
        writeln!(out, "{}", Value::from(told))?;
        return Ok(());
    }
    let rows: Vec<_> = all.iter().map(|user| row(users, user)).collect();
    let heading = [
        "sub", "state", "from", "code", "email", "username", "phone", "name",
    ];
    write!(out, "{}", table(heading, &rows))?;
    Ok(())
}

fn row(users: &Users, user: &User) -> [String; 8] {
    // What the identity provider said may steer a terminal.
    let shown = |text: &Option<String>| {
        text.as_ref()
            .map_or("-".into(), |text| text.escape_debug().to_string())
    };
    [
        user.sub.escape_debug().to_string(),
        if user.disabled { "disabled" } else { "enabled" }.into(),
        origin(users, user).into(),
        if user.user_code.is_some() { "yes" } else { "no" }.into(),
        shown(&user.email),
        shown(&user.username),
        shown(&user.phone),
        shown(&user.name),
    ]
}

/// Returns what is known of a person, without the hash of their code.
fn told(users: &Users, user: &User) -> Value {
    json!({
        "sub": user.sub, "name": user.name, "email": user.email, "username": user.username, "phone": user.phone,
        "disabled": user.disabled, "user_code": user.user_code.is_some(), "from": origin(users, user),
    })
}

fn origin(users: &Users, user: &User) -> &'static str {
    if users.is_configured(&user.sub) {
        "configuration"
    } else {
        "store"
    }
}

async fn switch(users: &Users, name: &str, disabled: bool) -> anyhow::Result<()> {
    let user = known(users, name).await?;
    if users.is_configured(&user.sub) {
        bail!(
            "this person is in the configuration: write `disabled = {disabled}` there, and restart the server"
        );
    }
    users.amend(&user.sub, |user| user.disabled = disabled).await?;
    say(&user, if disabled { "disabled" } else { "enabled" })
}

/// Says who was changed: the name that found them may have been another person's before.
fn say(user: &User, what: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{what}  {}", user.sub.escape_debug())?;
    Ok(())
}

async fn set_code(users: &Users, name: &str, is_removed: bool) -> anyhow::Result<()> {
    let user = known(users, name).await?;
    let code = if is_removed {
        None
    } else {
        Some(hashed_code(&read_secret("User code")?)?)
    };
    if users.is_configured(&user.sub) {
        eprintln!(
            "{} is in the configuration: let their [[user]] have this line, and restart the server.",
            user.sub.escape_debug()
        );
        let line = code.map(|code| format!("user_code = '{code}'"));
        println!("{}", line.unwrap_or_else(|| "# no user_code".into()));
        return Ok(());
    }
    users
        .amend(&user.sub, |user| user.user_code.clone_from(&code))
        .await?;
    say(&user, if is_removed { "code removed" } else { "code set" })
}

async fn known(users: &Users, name: &str) -> anyhow::Result<User> {
    let found = users.look_up(name).await?;
    found.context(
        "there is no such person: they are known from their first sign-in on, or by the configuration",
    )
}

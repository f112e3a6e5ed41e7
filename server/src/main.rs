//! `ciba-server`: reads the command line, starts the runtime, and leaves the rest to the library beside it.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use ciba_server::command::{ClientCommand, UserCommand};
use ciba_server::config::{self, Config};
use ciba_server::{command, harden};
use clap::{Parser, Subcommand};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};
use zeroizing_alloc::ZeroAlloc;

/// What is freed is wiped: tokens pass through libraries that do not wipe for themselves.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

/// The server of ciba: device sessions, login at an OpenID provider, tokens
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve, as the configuration says
    Serve {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Make the store and the keys that the configuration names, once; what is there stays as it is
    Init {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Try everything out on this machine: built-in identity provider, nothing kept
    Dev {
        /// Where to listen; loopback only
        #[arg(long, default_value = "127.0.0.1:8787", value_name = "ADDRESS")]
        listen: SocketAddr,
    },
    /// The OAuth clients
    Client {
        #[command(subcommand)]
        command: ClientCommand,
    },
    /// The people that clients may ask for
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// The keys that sign tokens
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Check a configuration: its store and its identity provider too
    Check {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Publish a new key of each algorithm; it signs a day later
    Rotate {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Let the new keys sign at once
        #[arg(long)]
        now: bool,
    },
    /// Print the keys, and what each is for
    List {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log();
    harden::harden();
    match start(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ciba-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn start(command: Command) -> anyhow::Result<()> {
    // Another crate of the graph could bring a second one; then the choice would be nobody's.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    match command {
        Command::Serve { config } => command::serve(Config::load(&config, environment()?)?, &config).await,
        Command::Init { config } => command::init(&Config::load(&config, environment()?)?),
        Command::Dev { listen } => command::dev(listen).await,
        Command::Client { command } => {
            let config = Config::load(command.config(), environment()?)?;
            command::client(command, &config).await
        }
        Command::User { command } => {
            let config = Config::load(command.config(), environment()?)?;
            command::user(command, &config).await
        }
        Command::Keys { command } => match command {
            KeysCommand::Rotate { config, now } => {
                command::rotate_keys(&Config::load(&config, environment()?)?, now)
            }
            KeysCommand::List { config } => command::list_keys(&Config::load(&config, environment()?)?),
        },
        Command::Check { config } => command::check(Config::load(&config, environment()?)?, &config).await,
    }
}

/// Returns the variables that are text. A variable of ours that is not text is an error, any other is not ours to judge.
fn environment() -> anyhow::Result<impl Iterator<Item = (String, String)>> {
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => variables.push((name, value)),
            Err(_) if name.starts_with(config::PREFIX) => anyhow::bail!("{name} is not valid UTF-8"),
            Err(_) => {}
        }
    }
    Ok(variables.into_iter())
}

/// To standard error: a service manager keeps it, and a person at a terminal reads it. `CIBA_LOG` is a level for
/// our own lines; libraries may print what passes through them, so they stay at `warn`.
fn log() {
    let asked = std::env::var_os("CIBA_LOG").filter(|level| !level.is_empty());
    let level = asked.as_ref().and_then(|level| level.to_str()?.parse().ok());
    let levels = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("ciba_server", level.unwrap_or(LevelFilter::INFO));
    let lines = fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(lines.with_filter(levels))
        .init();
    if asked.is_some() && level.is_none() {
        tracing::warn!("CIBA_LOG is none of off, error, warn, info, debug and trace: info holds");
    }
}

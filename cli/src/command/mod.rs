//! The commands, one file each: the options of a command (their doc comments are the help) and what it does.

use clap::Subcommand;
use ipc_proto::ProfileName;

use crate::error::Error;

pub(crate) mod add;
pub(crate) mod allow;
pub(crate) mod approvals;
pub(crate) mod approve;
pub(crate) mod audit;
pub(crate) mod client;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod curl;
pub(crate) mod curlrc;
pub(crate) mod deny;
pub(crate) mod docker;
pub(crate) mod doctor;
pub(crate) mod exec;
pub(crate) mod forward;
pub(crate) mod git;
pub(crate) mod kube;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod netrc;
pub(crate) mod one_shot;
pub(crate) mod request;
pub(crate) mod restart;
pub(crate) mod service;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod token;
pub(crate) mod watch;

/// The end of the help of commands that take a URL, not a resource.
const RULE_NAMES_LOGIN: &str =
    "The host's rule names the login: --profile is refused, and CIBA_PROFILE has no effect.";

/// The commands, with the help they are listed by. Each is built only when it is meant (`defer`), so that
/// `ciba token` does not pay for the others; their argument structs therefore carry no help of their own.
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Log in at a server and keep the session
    Start(start::Args),
    /// Print an access token that is valid now
    Token(token::Args),
    /// Get a token of one more resource, ahead of need
    Add(add::Args),
    /// Show logins and the tokens in memory
    Status(status::Args),
    /// Print what happens to logins and tokens until interrupted
    Watch(watch::Args),
    /// Log out: end the session here and on the server
    Stop(stop::Args),
    /// Ask a person for approval at an OpenID provider (CIBA), and print the token
    Request(Box<request::Args>),
    /// Keep the credentials of clients for `ciba request`
    Client(client::Args),
    /// Show the requests that wait for your decision
    Approvals(approvals::Args),
    /// Give a client what it asks you for
    Approve(approve::Args),
    /// Refuse a client what it asks you for
    Deny(deny::Args),
    /// Let the tools give a host its token: write a rule
    Allow(allow::Args),
    /// Show the configuration and its rules
    Config(config::Args),
    /// Show which tokens were handed out
    Audit(audit::Args),
    /// Run a program with a token in its environment
    Exec(exec::Args),
    /// Run curl with the token of the URL's rule
    #[command(after_help = RULE_NAMES_LOGIN)]
    Curl(curl::Args),
    /// Print a URL's token as a line for `curl -K -`
    #[command(after_help = RULE_NAMES_LOGIN)]
    Curlrc(curlrc::Args),
    /// Print a host's token as a line of a netrc file
    #[command(after_help = RULE_NAMES_LOGIN)]
    Netrc(netrc::Args),
    /// Pass tokens of named resources on to another machine
    Forward(forward::Args),
    /// Let git get tokens from ciba
    Git(git::Args),
    /// Let docker get tokens from ciba
    Docker(docker::Args),
    /// Let kubectl get tokens from ciba
    Kube(kube::Args),
    /// Check what ciba needs, and say what to do
    Doctor(doctor::Args),
    /// Show the log of the daemon
    Logs(logs::Args),
    /// Let the installed cibad take over, with every session
    Restart(restart::Args),
    /// Run cibad as a user service (systemd, launchd)
    Service(service::Args),
    /// Print what makes a shell complete commands and options
    Completions(completions::Args),
    /// Show a manual page
    Man(man::Args),
}

/// Runs a command, or the one-shot login where there is none.
pub(crate) fn run(
    command: Option<Command>,
    one_shot: one_shot::Args,
    profile: Option<ProfileName>,
) -> Result<(), Error> {
    match command {
        Some(Command::Token(args)) => token::run(args, profile),
        Some(Command::Start(args)) => start::run(args, profile),
        Some(Command::Add(args)) => add::run(args, profile),
        Some(Command::Status(args)) => status::run(&args, profile),
        Some(Command::Watch(args)) => watch::run(&args),
        Some(Command::Stop(args)) => stop::run(&args, profile),
        Some(Command::Request(args)) => request::run(*args),
        Some(Command::Client(args)) => client::run(args),
        Some(Command::Approvals(args)) => approvals::run(&args, profile),
        Some(Command::Approve(args)) => approve::run(&args, profile),
        Some(Command::Deny(args)) => deny::run(&args, profile),
        Some(Command::Allow(args)) => allow::run(&args, profile.as_ref()),
        Some(Command::Config(args)) => config::run(&args),
        Some(Command::Audit(args)) => audit::run(&args),
        Some(Command::Exec(args)) => exec::run(args, profile),
        Some(Command::Curl(args)) => curl::run(&args),
        Some(Command::Curlrc(args)) => curlrc::run(&args),
        Some(Command::Netrc(args)) => netrc::run(&args),
        Some(Command::Forward(args)) => forward::run(args, profile),
        Some(Command::Git(args)) => git::run(&args),
        Some(Command::Docker(args)) => docker::run(&args),
        Some(Command::Kube(args)) => kube::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Logs(args)) => logs::run(&args),
        Some(Command::Restart(_)) => restart::run(),
        Some(Command::Service(args)) => service::run(&args),
        Some(Command::Completions(args)) => completions::run(&args),
        Some(Command::Man(args)) => man::run(&args),
        None => one_shot::run(one_shot, profile),
    }
}

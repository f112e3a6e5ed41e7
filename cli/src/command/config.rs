//! `ciba config`: the configuration file, what is wrong with it, and the rules in force.

use std::fmt::Write as _;
use std::time::Duration;

use ipc_proto::{Configuration, Failure, HostRule, Op, ProfileName, Scheme};

use crate::ask;
use crate::error::Error;
use crate::terminal::{self, Plain};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Say whether the configuration that cibad has read is right
    Check,
    /// Print the rules in the order in which they are tried
    Show {
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the path of the file
    Path,
}

/// Asks the daemon, which alone knows what it has read.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let configuration = in_force()?;
    match args.what {
        What::Check => check(&configuration),
        What::Show { json: true } => terminal::print_json(&configuration),
        What::Show { json: false } => {
            let rules: String = configuration.rules.iter().map(line).collect();
            terminal::print(rules.as_bytes())?;
            check(&configuration)
        }
        What::Path => terminal::print(format!("{}\n", Plain(file(&configuration)?)).as_bytes()),
    }
}

/// Asks for the configuration in force.
pub(super) fn in_force() -> Result<Configuration, Error> {
    ask::whoever_serves(Op::Configuration {}, |connection, op| {
        connection.ask(op, PATIENCE)
    })
}

/// Returns the file's path.
pub(super) fn file(configuration: &Configuration) -> Result<&str, Error> {
    let file = configuration.file.as_deref();
    file.ok_or_else(|| Error::internal("cibad has no home and no configuration file"))
}

fn check(configuration: &Configuration) -> Result<(), Error> {
    match &configuration.problem {
        Some(problem) => Err(wrong(problem)),
        None => Ok(()),
    }
}

/// Returns the failure of a file that is wrong.
pub(super) fn wrong(problem: &str) -> Error {
    let failure = Failure::new(ipc_proto::ErrorCode::Internal, problem);
    Error::from(failure).hint(
        "no rule is in force until the file is right and cibad has read it: systemctl --user reload cibad",
    )
}

/// Returns a rule as a line.
pub(super) fn line(rule: &HostRule) -> String {
    let mut line = format!("{}  {}", Plain(&rule.matches), Plain(&rule.resource));
    let mut add = |text: &str| {
        // Writing into a String cannot fail.
        let _ = write!(line, "  {}", Plain(text));
    };
    if let Some(tools) = &rule.tool {
        add(&format!("for {}", tools.join(", ")));
    }
    if rule.profile != ProfileName::default() {
        add(&format!("from {}", rule.profile));
    }
    match rule.scheme {
        Scheme::Auto => {}
        Scheme::Bearer => add("as Bearer"),
        Scheme::Basic => add(&format!("as Basic of {}", rule.username)),
    }
    if rule.confirm {
        add("after a question");
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_line_of_what_it_says() {
        let rule = HostRule {
            matches: "*.example.com".into(),
            tool: None,
            resource: "urn:d:git".into(),
            profile: ProfileName::default(),
            scheme: Scheme::Auto,
            username: "oauth2".into(),
            confirm: false,
        };
        assert_eq!(line(&rule), "*.example.com  urn:d:git\n");
        let more = HostRule {
            tool: Some(vec!["git".into(), "curl".into()]),
            profile: "work".parse().unwrap(),
            scheme: Scheme::Basic,
            confirm: true,
            ..rule
        };
        assert_eq!(
            line(&more),
            "*.example.com  urn:d:git  for git, curl  from work  as Basic of oauth2  after a question\n"
        );
    }
}

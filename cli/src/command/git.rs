//! `ciba git setup`: tells git, in its own configuration, which services `ciba` has tokens for.

use std::path::PathBuf;
use std::process::{Command, Output};

use ipc_proto::HostRule;

use super::config;
use crate::error::Error;
use crate::launch;
use crate::terminal::{self, Plain};

/// The tool, as rules name it.
const TOOL: &str = "git";

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Let git get the tokens of a host, or of every host that a rule names, from ciba
    Setup {
        /// Host as it stands in a rule: git.example.com, *.example.com, host:port, host/path
        #[arg(value_parser = scope)]
        host: Option<Scope>,

        /// Print the commands that would be run, and change nothing
        #[arg(long)]
        print: bool,
    },
}

/// Lets git write: the file is its own.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let Action::Setup { host, print } = &args.action;
    let scopes = match host {
        Some(scope) => vec![scope.clone()],
        None => in_rules()?,
    };
    let helper = helper()?;
    for scope in scopes {
        if *print {
            let lines: String = scope
                .commands(&helper)
                .iter()
                .map(|command| line(command))
                .collect();
            terminal::print(lines.as_bytes())?;
        } else {
            set_up(&scope, &helper)?;
        }
    }
    Ok(())
}

/// What a section `credential` of git's configuration is for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Scope {
    /// `https://host[:port]`, or `http:` where the rule says so.
    url: String,
    /// Whether the rule looks at the path, which git says only when it is told to.
    has_path: bool,
}

impl Scope {
    fn key(&self, name: &str) -> String {
        format!("credential.{}.{name}", self.url)
    }

    /// The arguments of git that set it up. The empty value makes git forget the helpers that it has for every service.
    fn commands(&self, helper: &str) -> Vec<Vec<String>> {
        let command = |words: &[&str]| {
            let all = ["config", "--global"].iter().chain(words);
            all.map(|&word| word.to_owned()).collect()
        };
        let key = self.key("helper");
        let mut commands = vec![
            command(&["--replace-all", &key, ""]),
            command(&["--add", &key, helper]),
        ];
        if self.has_path {
            commands.push(command(&[&self.key("useHttpPath"), "true"]));
        }
        commands
    }
}

/// Reads a host as a rule has it.
fn scope(text: &str) -> Result<Scope, &'static str> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        Some(_) => return Err("a host is reached by https, or on this machine by http"),
        None => ("https", text),
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let allowed = |c: char| c.is_alphanumeric() || ".-:[]*".contains(c);
    if host.is_empty() || !host.chars().all(allowed) {
        return Err("a host is a name, perhaps with *. before or with :port behind");
    }
    Ok(Scope {
        url: format!("{scheme}://{host}"),
        has_path: !path.is_empty(),
    })
}

/// Returns the services that rules name for git.
fn in_rules() -> Result<Vec<Scope>, Error> {
    let is_for_git = |rule: &&HostRule| {
        rule.tool
            .as_ref()
            .is_none_or(|tools| tools.iter().any(|tool| tool == TOOL))
    };
    let configuration = config::in_force()?;
    let mut scopes: Vec<Scope> = Vec::new();
    for rule in configuration.rules.iter().filter(is_for_git) {
        let scope = scope(&rule.matches).map_err(Error::usage)?;
        match scopes.iter_mut().find(|known| known.url == scope.url) {
            Some(known) => known.has_path |= scope.has_path,
            None => scopes.push(scope),
        }
    }
    if scopes.is_empty() {
        return Err(Error::usage("no rule names a host for git").hint("ciba allow HOST --resource URN"));
    }
    Ok(scopes)
}

/// Returns what git is to run: the link of git's name beside this program, or this program. An absolute path spares git a
/// process.
fn helper() -> Result<String, Error> {
    let ciba = launch::this().ok_or_else(|| Error::internal("the path of this program is not known"))?;
    let link = ciba.with_file_name("git-credential-ciba");
    let text = |path: PathBuf| path.into_os_string().into_string();
    let program = text(if link.is_file() { link.clone() } else { ciba });
    let program = program.map_err(|_| Error::internal("the path of this program is not valid UTF-8"))?;
    let argument = if link.is_file() { "" } else { " git-credential" };
    Ok(match quoted(&program) {
        // git hands an absolute path to the shell as well, but sees no path behind a quotation mark.
        quoted if quoted != program => format!("!{quoted}{argument}"),
        _ => format!("{program}{argument}"),
    })
}

fn set_up(scope: &Scope, helper: &str) -> Result<(), Error> {
    let key = scope.key("helper");
    let before = git(&["config".into(), "--global".into(), "--get-all".into(), key])?;
    if before.stdout == format!("\n{helper}\n").as_bytes() && !scope.has_path {
        terminal::tell(format_args!(
            "git gets the tokens of {} from ciba already",
            Plain(&scope.url)
        ));
        return Ok(());
    }
    for command in scope.commands(helper) {
        let ran = git(&command)?;
        if !ran.status.success() {
            let said = String::from_utf8_lossy(&ran.stderr);
            return Err(
                Error::internal(format!("git did not change its configuration: {}", said.trim()))
                    .hint("ciba git setup --print shows what belongs there"),
            );
        }
    }
    terminal::tell(format_args!(
        "git gets the tokens of {} from ciba",
        Plain(&scope.url)
    ));
    Ok(())
}

fn git(arguments: &[String]) -> Result<Output, Error> {
    let ran = Command::new("git").args(arguments).output();
    ran.map_err(|error| {
        Error::internal(format!("git cannot be run: {error}"))
            .hint("ciba git setup --print shows what belongs into its configuration")
    })
}

/// Returns a command of git as a line for a shell.
fn line(arguments: &[String]) -> String {
    let words: Vec<_> = arguments.iter().map(|word| quoted(word)).collect();
    format!("git {}\n", words.join(" "))
}

/// Returns a word that a shell takes for one.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_what_a_rule_names() {
        for (text, url, has_path) in [
            ("git.example.com", "https://git.example.com", false),
            ("*.example.com", "https://*.example.com", false),
            ("git.example.com:8443/team", "https://git.example.com:8443", true),
            ("https://git.example.com/", "https://git.example.com", false),
            ("http://127.0.0.1:80/x", "http://127.0.0.1:80", true),
            ("[::1]:8", "https://[::1]:8", false),
        ] {
            let expected = Scope {
                url: url.into(),
                has_path,
            };
            assert_eq!(scope(text), Ok(expected), "{text}");
        }
        for bad in ["", "https://", "ssh://a", "a b", "a@b", "a\n", "a=b", "a'b"] {
            assert!(scope(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn other_helpers_are_forgotten_before_ours_is_named() {
        let scope = scope("a.example/team").unwrap();
        let lines: Vec<_> = scope
            .commands("/usr/bin/ciba git-credential")
            .iter()
            .map(|c| line(c))
            .collect();
        assert_eq!(
            lines.concat(),
            "git config --global --replace-all credential.https://a.example.helper ''\n\
             git config --global --add credential.https://a.example.helper '/usr/bin/ciba git-credential'\n\
             git config --global credential.https://a.example.useHttpPath true\n"
        );
    }

    #[test]
    fn a_word_stays_one_for_the_shell() {
        assert_eq!(quoted("/usr/bin/ciba"), "/usr/bin/ciba");
        assert_eq!(quoted("/a b/it's"), "'/a b/it'\\''s'");
        assert_eq!(quoted("*"), "'*'");
    }
}

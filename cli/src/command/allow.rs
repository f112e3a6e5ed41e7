//! `ciba allow`: writes a rule into the configuration file, and has the daemon read it. A file that the daemon finds wrong
//! then is put back as it was.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use ipc_proto::{Configuration, ProfileName};
use rustix::process::{Pid, Signal, kill_process};

use super::config;
use crate::ask;
use crate::error::Error;
use crate::terminal::{self, Plain};

/// How long the daemon may take to read its configuration.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time between two looks whether it has: it does not say so by itself.
const GLANCE: Duration = Duration::from_millis(20);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Host, *.host, host:port or host/path that may have the token
    #[arg(value_parser = text)]
    host: String,

    /// Resource the token is for
    #[arg(long, value_name = "URN", value_parser = text)]
    resource: String,

    /// Tool that may ask, every tool without it; may be given again
    #[arg(long = "tool", value_name = "TOOL", value_parser = text)]
    tools: Vec<String>,

    /// How the token is shown
    #[arg(long, value_parser = PossibleValuesParser::new(["bearer", "basic", "auto"]))]
    scheme: Option<String>,

    /// User name beside the token, where it is shown as Basic
    #[arg(long, value_name = "NAME", value_parser = text)]
    username: Option<String>,

    /// Ask a person each time before the token leaves
    #[arg(long)]
    confirm: bool,
}

/// Writes the rule, and prints it when it is in force.
pub(crate) fn run(args: &Args, profile: Option<&ProfileName>) -> Result<(), Error> {
    let before = config::in_force()?;
    if let Some(problem) = &before.problem {
        return Err(config::wrong(problem));
    }
    let rule = rule(args, profile);
    let file =
        Addition::write(Path::new(config::file(&before)?), &rule).map_err(|error| not_written(&error))?;
    match read_again(&before) {
        Ok(after) => tell(&rule, &before, &after),
        Err(error) => {
            file.take_back().map_err(|error| not_written(&error))?;
            // The daemon reads what it had read before. Were it gone, it would read it at its start.
            let _ = hang_up();
            Err(error)
        }
    }
}

/// Returns the rule as TOML.
fn rule(args: &Args, profile: Option<&ProfileName>) -> String {
    let mut rule = String::from("[[host]]\n");
    let mut add = |key: &str, value: String| {
        // Writing into a String cannot fail.
        let _ = writeln!(rule, "{key} = {value}");
    };
    add("match", quoted(&args.host));
    if !args.tools.is_empty() {
        let tools: Vec<String> = args.tools.iter().map(|tool| quoted(tool)).collect();
        add("tool", format!("[{}]", tools.join(", ")));
    }
    add("resource", quoted(&args.resource));
    if let Some(profile) = profile {
        add("profile", quoted(&profile.to_string()));
    }
    if let Some(scheme) = &args.scheme {
        add("scheme", quoted(scheme));
    }
    if let Some(username) = &args.username {
        add("username", quoted(username));
    }
    if args.confirm {
        add("confirm", "true".into());
    }
    rule
}

/// Returns a basic string (TOML 1.0). What it holds are plain characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Reads a text that has no control characters, and so stays on its line.
fn text(text: &str) -> Result<String, &'static str> {
    if !text.is_empty() && text.chars().all(ipc_proto::is_plain) {
        Ok(text.into())
    } else {
        Err("a text here is not empty and has no control characters")
    }
}

/// What was added to a file, which may be a link: the file stays the same one, with its owner and mode.
struct Addition<'a> {
    path: &'a Path,
    file: File,
    /// The length before; `None` when there was no file.
    length: Option<u64>,
}

impl<'a> Addition<'a> {
    fn write(path: &'a Path, rule: &str) -> io::Result<Self> {
        let is_new = !path.exists();
        if let (true, Some(directory)) = (is_new, path.parent()) {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let length = file.metadata()?.len();
        let gap = gap(&file, length)?;
        let addition = Self {
            path,
            file: file.try_clone()?,
            length: (!is_new).then_some(length),
        };
        match file.write_all(format!("{gap}{rule}").as_bytes()) {
            Ok(()) => Ok(addition),
            Err(error) => addition.take_back().and(Err(error)),
        }
    }

    /// Puts the file back as it was.
    fn take_back(&self) -> io::Result<()> {
        match self.length {
            Some(length) => self.file.set_len(length),
            None => fs::remove_file(self.path),
        }
    }
}

/// Returns what goes between what is there and a new section.
fn gap(file: &File, length: u64) -> io::Result<&'static str> {
    let Some(end) = length.checked_sub(1) else {
        return Ok("");
    };
    let mut last = [0];
    file.read_exact_at(&mut last, end)?;
    Ok(if last == *b"\n" { "\n" } else { "\n\n" })
}

/// Has the daemon read its configuration, and returns it with the new rule in it.
#[expect(
    clippy::disallowed_methods,
    reason = "the daemon does not say when it has read it"
)]
fn read_again(before: &Configuration) -> Result<Configuration, Error> {
    hang_up()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let after = config::in_force()?;
        if let Some(problem) = &after.problem {
            return Err(Error::usage(format!("the rule is not taken: {problem}")));
        }
        if after.rules.len() > before.rules.len() {
            return Ok(after);
        }
        if Instant::now() >= deadline {
            return Err(Error::timeout("cibad has not read its configuration again"));
        }
        thread::sleep(GLANCE);
    }
}

fn hang_up() -> Result<(), Error> {
    let gone = || Error::internal("cibad went away");
    let hello = ask::hello(PATIENCE)?.ok_or_else(gone)?;
    let pid = Pid::from_raw(hello.pid.cast_signed()).ok_or_else(gone)?;
    kill_process(pid, Signal::HUP).map_err(|_| gone())
}

fn tell(rule: &str, before: &Configuration, after: &Configuration) -> Result<(), Error> {
    let added = after.rules.last().map(|rule| rule.matches.as_str());
    if before
        .rules
        .iter()
        .any(|rule| Some(rule.matches.as_str()) == added)
    {
        terminal::tell("warning: an earlier rule names the same, and the first one that matches decides");
    }
    let lines: String = rule.lines().map(|line| format!("{}\n", Plain(line))).collect();
    terminal::print(lines.as_bytes())
}

fn not_written(error: &io::Error) -> Error {
    Error::internal(format!("the configuration file cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_rule_is_a_section_whose_texts_are_quoted() {
        let args = Args {
            host: "a\"b\\c".into(),
            resource: "urn:d:git".into(),
            tools: vec!["git".into(), "curl".into()],
            scheme: Some("basic".into()),
            username: Some("x".into()),
            confirm: true,
        };
        let work = "work".parse().unwrap();
        let expected = "[[host]]\nmatch = \"a\\\"b\\\\c\"\ntool = [\"git\", \"curl\"]\nresource = \"urn:d:git\"\n\
            profile = \"work\"\nscheme = \"basic\"\nusername = \"x\"\nconfirm = true\n";
        assert_eq!(rule(&args, Some(&work)), expected);
    }

    #[test]
    fn a_text_that_would_begin_another_line_is_refused() {
        for bad in ["", "a\nconfirm = false", "a\r", "a\u{0}", "a\u{2028}b"] {
            assert!(text(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_file_is_added_to_and_put_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ciba/config.toml");
        let addition = Addition::write(&path, "[[host]]\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[[host]]\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        addition.take_back().unwrap();
        assert!(!path.exists());
        for (before, gap) in [("", ""), ("[daemon]\n", "\n"), ("[daemon]", "\n\n")] {
            fs::write(&path, before).unwrap();
            let addition = Addition::write(&path, "[[host]]\n").unwrap();
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                format!("{before}{gap}[[host]]\n")
            );
            addition.take_back().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), before);
        }
    }
}

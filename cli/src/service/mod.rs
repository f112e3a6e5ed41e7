//! What makes a user's service manager run `cibad`, as data: files to write and commands to run. The command
//! `ciba service` shows it, does it and takes it back.

mod file;
pub(crate) mod install;
mod launchd;
mod running;
mod systemd;

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(crate) use self::file::UnitFile;
use crate::error::Error;

/// What is known about the place that the service is made for.
pub(crate) struct Place {
    /// The installed `cibad`; absolute.
    pub(crate) program: PathBuf,
    /// Where the user's clients look for the daemon.
    pub(crate) socket: PathBuf,
    pub(crate) home: PathBuf,
    /// `$XDG_CONFIG_HOME`, or where that is by default.
    pub(crate) config: PathBuf,
    pub(crate) uid: u32,
}

/// What a service manager needs.
pub(crate) struct Plan {
    /// The manager's name, for people.
    pub(crate) manager: &'static str,
    /// Succeeds where there is a manager to talk to.
    pub(crate) probe: Step,
    /// What to do where there is none.
    pub(crate) hint: &'static str,
    /// Succeeds while the manager holds the socket.
    pub(crate) is_active: Step,
    pub(crate) files: Vec<UnitFile>,
    /// Once the files are there.
    pub(crate) begin: Vec<Step>,
    /// The same where the manager holds the socket already.
    pub(crate) renew: Vec<Step>,
    /// Whether that ends the daemon.
    pub(crate) renewing_ends: bool,
    /// While the files are still there.
    pub(crate) end: Vec<Step>,
    /// When the files are gone.
    pub(crate) forget: Vec<Step>,
}

/// A command of the service manager.
pub(crate) struct Step {
    program: &'static str,
    arguments: Vec<String>,
    /// What is true afterwards.
    pub(crate) done: &'static str,
}

impl Step {
    fn new<A: Into<String>>(
        program: &'static str,
        arguments: impl IntoIterator<Item = A>,
        done: &'static str,
    ) -> Self {
        Self {
            program,
            arguments: arguments.into_iter().map(Into::into).collect(),
            done,
        }
    }

    /// Runs it; what it says is passed on when it fails.
    pub(crate) fn run(&self) -> Result<(), Error> {
        let output = self.command().stdout(Stdio::null()).output();
        let output = output.map_err(|error| Error::internal(format!("{self}: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().replace('\n', "; ");
        Err(Error::internal(format!("{self} failed: {said}")))
    }

    /// Whether it succeeds; says nothing.
    pub(crate) fn succeeds(&self) -> bool {
        let mut command = self.command();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.args(&self.arguments).stdin(Stdio::null());
        command
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.program, self.arguments.join(" "))
    }
}

/// Returns the plan for this system's service manager.
pub(crate) fn plan(place: &Place) -> Result<Plan, Error> {
    if cfg!(target_os = "macos") {
        launchd::plan(place)
    } else {
        systemd::plan(place)
    }
}

/// The path in the files as they are shipped, in place of which the installed program's is written.
const SHIPPED_PROGRAM: &str = "/usr/local/bin/cibad";

fn text(path: &std::path::Path) -> Result<&str, Error> {
    path.to_str()
        .filter(|path| !path.chars().any(char::is_control))
        .ok_or_else(|| Error::usage(format!("{} cannot stand in a unit", path.display())))
}

#[cfg(test)]
impl Place {
    fn example() -> Self {
        Self {
            program: "/opt/ciba/cibad".into(),
            socket: "/run/user/1000/ciba/agent.sock".into(),
            home: "/home/zoe".into(),
            config: "/home/zoe/.config".into(),
            uid: 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_fails_says_what_it_was_told() {
        let step = Step::new("sh", ["-c", "echo one >&2; echo two >&2; exit 3"], "done");
        let Err(Error::Told(failure)) = step.run() else {
            panic!("it fails");
        };
        assert!(
            failure.message.ends_with("failed: one; two"),
            "{}",
            failure.message
        );
        assert!(!step.succeeds());
        assert!(Step::new("true", [""; 0], "done").succeeds());
        assert!(!Step::new("/nowhere", [""; 0], "done").succeeds());
    }
}

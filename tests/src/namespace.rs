//! A user namespace: what runs in it is the same user, with a kernel keyring that no process outside has.

use anyhow::{Context, Result};
use rustix::process::Pid;
use tokio::process::Command;

use crate::process::Process;
use crate::wait::PATIENCE;

/// Said from within, where all is set up; then it waits for its standard input to end.
const HOLD: &str = "echo held; exec cat";

/// A namespace; it lasts as long as this, or anything that runs in it.
pub(crate) struct Namespace {
    _holder: Process,
    holder: Pid,
}

impl Namespace {
    pub(crate) async fn new() -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-current-user", "sh", "-c", HOLD]);
        let mut process = Process::spawn(command)?;
        let is_held = |line: &str| (line == "held").then_some(());
        process.wait_line("that it holds", PATIENCE, is_held).await?;
        Ok(Self {
            holder: process.pid().context("it holds")?,
            _holder: process,
        })
    }

    /// Returns the command that runs what follows it in here.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--user=/proc/{}/ns/user", self.holder.as_raw_nonzero()));
        command.args(["--preserve-credentials", "--"]);
        command
    }
}

#[cfg(test)]
#[cfg(feature = "real")]
mod tests {
    use super::*;
    use crate::world::Output;

    async fn run(namespace: &Namespace, words: &[&str]) -> Output {
        let mut command = namespace.command();
        command.args(words);
        Output::of(&mut Process::spawn(command).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_key_outlives_who_added_it_and_is_seen_in_its_namespace_alone() {
        let (one, other) = (Namespace::new().await.unwrap(), Namespace::new().await.unwrap());
        let add = ["keyctl", "add", "user", "ciba:namespace", "kept", "@u"];
        let _ = run(&one, &add).await.success();
        let search = ["keyctl", "search", "@u", "user", "ciba:namespace"];
        assert_eq!(run(&one, &search).await.code(), Some(0));
        assert_eq!(run(&other, &search).await.code(), Some(1));
    }
}

//! A node script of `interop/` as a child that speaks JSON lines: events out, commands in.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitStatus;

use anyhow::{Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::process::Process;
use crate::wait::PATIENCE;

const INTEROP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop");

/// A running script; its own header says which events and commands it has.
pub struct Script {
    process: Process,
}

impl Script {
    /// Starts `file` of `interop/folder` under node.
    pub(crate) fn start(folder: &str, file: &str, arguments: &[&str]) -> Result<Self> {
        Self::start_in(folder, file, arguments, None)
    }

    /// The same, with a variable in its environment.
    pub(crate) fn start_in(
        folder: &str,
        file: &str,
        arguments: &[&str],
        variable: Option<(&str, &OsStr)>,
    ) -> Result<Self> {
        let folder = Path::new(INTEROP).join(folder);
        let modules = folder.join("node_modules");
        ensure!(
            modules.is_dir(),
            "{} is missing: run tests/setup.sh",
            modules.display()
        );
        let mut command = Command::new("node");
        command.arg(folder.join(file)).args(arguments).current_dir(folder);
        command.envs(variable);
        Ok(Self {
            process: Process::spawn(command)?,
        })
    }

    /// Returns the first event of that name that no earlier call has returned.
    pub async fn event(&mut self, name: &str) -> Result<Value> {
        self.event_where(name, |_| true).await
    }

    /// Returns the first event of that name, not returned before, that `accept` accepts.
    pub async fn event_where(&mut self, name: &str, accept: impl Fn(&Value) -> bool) -> Result<Value> {
        let what = format!("the event {name}");
        self.process
            .wait_json(&what, PATIENCE, |line| line["event"] == name && accept(line))
            .await
    }

    /// Writes one command.
    pub async fn tell(&mut self, command: &Value) -> Result<()> {
        self.process.write_line(&command.to_string()).await
    }

    /// Waits for the script to end by itself.
    pub async fn exit(&mut self) -> Result<ExitStatus> {
        self.process.exit(PATIENCE).await
    }

    /// The process behind the script.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

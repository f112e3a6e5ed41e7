//! A real systemd with a user instance, in a container that shares this machine's files and network and loses what it
//! writes. Needs root.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::binaries::binary;
use crate::process::Process;
use crate::wait::{PATIENCE, until};
use crate::world::Output;

const BOOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/boot-systemd.sh");

/// The units as shipped.
const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd");

/// Where the uids of our users begin. The kernel's keyrings are by uid and not the container's own: each has one
/// that nobody else on the machine has.
const FIRST_UID: u32 = 100_000;

/// Containers that one process may boot.
const BOOTS: u32 = 8;

/// Where our programs lie in it, as `make install` puts them.
pub const BIN: &str = "/usr/local/bin";

/// A booted system. Dropping it powers it off.
pub struct Systemd {
    nspawn: Process,
    /// The container's first process, as the outside numbers it.
    leader: String,
    uid: u32,
    _directory: TempDir,
}

impl Systemd {
    /// Boots with our programs and system units installed; returns when the user's systemd runs. `None` when the tests do not run as
    /// root.
    pub async fn boot() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can boot a container");
            return Ok(None);
        }
        let directory = TempDir::with_prefix("ciba-systemd-")?;
        let uid = free_uid();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation=private", BOOT])
            .arg(directory.path())
            .arg(uid.to_string());
        for name in ["ciba", "cibad", "ciba-server"] {
            command.arg(format!("{}:{BIN}/{name}", binary(name).display()));
        }
        for unit in fs::read_dir(Path::new(UNITS).join("system"))? {
            let (path, name) = unit.map(|unit| (unit.path(), unit.file_name()))?;
            let name = name.to_str().context("a unit's name is text")?;
            command.arg(format!("{}:/etc/systemd/system/{name}", path.display()));
        }
        let nspawn = Process::spawn(command)?;
        let pid = nspawn.pid().context("nspawn runs")?.as_raw_nonzero();
        let leader = until("the container's systemd", PATIENCE, async || {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
            let leader = children.trim().to_owned();
            let name = fs::read_to_string(format!("/proc/{leader}/comm")).ok()?;
            (name == "systemd\n").then_some(leader)
        })
        .await;
        let leader = leader.with_context(|| nspawn.stderr())?;
        let systemd = Self {
            nspawn,
            leader,
            uid,
            _directory: directory,
        };
        systemd.until_user_manager().await?;
        Ok(Some(systemd))
    }

    async fn until_user_manager(&self) -> Result<()> {
        let running = until("the user's systemd", PATIENCE, async || {
            let output = self.user("systemctl --user is-system-running").await.ok()?;
            (output.stdout == "running\n").then_some(())
        });
        running.await.with_context(|| self.nspawn.stdout())
    }

    /// Runs a line of shell as the user, outside every unit.
    pub async fn user(&self, line: &str) -> Result<Output> {
        self.output(self.user_command(line)).await
    }

    /// Starts a line of shell as the user.
    pub fn spawn_user(&self, line: &str) -> Result<Process> {
        Process::spawn(self.user_command(line))
    }

    /// Runs a line of shell as root.
    pub async fn root(&self, line: &str) -> Result<Output> {
        let mut command = self.enter();
        command.args(["sh", "-c", line]);
        self.output(command).await
    }

    /// Runs a line as the user and returns what it prints; it must succeed.
    pub async fn ask(&self, line: &str) -> Result<String> {
        let output = self.user(line).await?;
        ensure!(output.status.success(), "{line}: {output:?}");
        Ok(output.stdout.trim_end().to_owned())
    }

    /// Returns a property of a user unit.
    pub async fn property(&self, unit: &str, name: &str) -> Result<String> {
        self.ask(&format!("systemctl --user show --value --property={name} {unit}"))
            .await
    }

    /// Waits until a property of a user unit is as wanted.
    pub async fn until_property(
        &self,
        unit: &str,
        name: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let what = format!("{name} of {unit}");
        let found = until(&what, PATIENCE, async || {
            self.property(unit, name).await.ok().filter(|value| wanted(value))
        });
        match found.await {
            Ok(value) => Ok(value),
            Err(error) => Err(error.context(self.journal(unit).await?)),
        }
    }

    /// Returns what a user unit has logged.
    pub async fn journal(&self, unit: &str) -> Result<String> {
        let line = format!("journalctl --quiet --no-pager --output=cat _SYSTEMD_USER_UNIT={unit}");
        Ok(self.root(&line).await?.stdout)
    }

    async fn output(&self, command: Command) -> Result<Output> {
        let mut process = Process::spawn(command)?;
        process.close_stdin();
        Output::of(&mut process).await
    }

    fn user_command(&self, line: &str) -> Command {
        let (uid, mut command) = (self.uid.to_string(), self.enter());
        command
            .args(["setpriv", "--reuid", &uid, "--regid", &uid, "--init-groups"])
            .args([
                "env",
                "-i",
                "--chdir=/home/tester",
                "HOME=/home/tester",
                "USER=tester",
            ])
            .args([
                format!("PATH={BIN}:/usr/bin:/bin"),
                format!("XDG_RUNTIME_DIR=/run/user/{uid}"),
                format!("DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{uid}/bus"),
            ])
            .args(["sh", "-c", line]);
        command
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.leader,
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--cgroup",
            "--",
        ]);
        command
    }
}

fn free_uid() -> u32 {
    static BOOTED: AtomicU32 = AtomicU32::new(0);
    let booted = BOOTED.fetch_add(1, Ordering::Relaxed);
    FIRST_UID + (std::process::id() * BOOTS + booted % BOOTS) % FIRST_UID
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // The user's keys outlive the container.
        let mut command = self.user_command("keyctl clear @u").into_std();
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let _ = command.status();
    }
}

//! A real GNOME Keyring on a D-Bus session bus of its own: the Secret Service that `cibad` finds on a desktop,
//! with everything that can go wrong with one.

use std::fs;
use std::ops::Not as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::{NamedTempFile, TempDir};
use tokio::process::Command;

use crate::process::Process;
use crate::wait::{PATIENCE, until};

/// The variable by which programs find the bus.
const VARIABLE: &str = "DBUS_SESSION_BUS_ADDRESS";

/// The Secret Service's name on the bus, and the object that stands for the default collection.
const SERVICE: &str = "org.freedesktop.secrets";
const SERVICE_PATH: &str = "/org/freedesktop/secrets";
const DEFAULT_COLLECTION: &str = "/org/freedesktop/secrets/aliases/default";

/// A bus that starts no service by itself.
const BARE_BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// A bus with a home of its own, and the keyring on it. Dropping it ends both.
pub struct Keyring {
    root: TempDir,
    bus: Process,
    address: String,
    /// Services that were stopped: they would not notice the end of their bus.
    stopped: Vec<OwnedFd>,
}

impl Keyring {
    /// What opens the default collection, as it is typed; its line end belongs to it.
    pub const PASSWORD: &str = "correct horse";

    /// Starts a keyring whose default collection exists and is open.
    pub async fn start() -> Result<Self> {
        let keyring = Self::never_unlocked().await?;
        keyring.unlock().await?;
        Ok(keyring)
    }

    /// Starts a bus that starts a keyring when it is asked for, which then has no default collection.
    pub async fn never_unlocked() -> Result<Self> {
        Self::on_bus("--session").await
    }

    /// Starts a bus that has no Secret Service.
    pub async fn bus_without_service() -> Result<Self> {
        let config = NamedTempFile::new()?;
        fs::write(&config, BARE_BUS)?;
        Self::on_bus(&format!("--config-file={}", config.path().display())).await
    }

    /// Starts a bus; its configuration has been read when this returns.
    async fn on_bus(configuration: &str) -> Result<Self> {
        let root = TempDir::with_prefix("ciba-keyring-")?;
        for folder in ["home", "run"] {
            fs::DirBuilder::new()
                .mode(0o700)
                .create(root.path().join(folder))?;
        }
        let socket = root.path().join("bus");
        let mut command = in_home("dbus-daemon", root.path());
        command
            .args([configuration, "--nofork", "--nopidfile", "--print-address"])
            .arg(format!("--address=unix:path={}", socket.display()));
        let mut bus = Process::spawn(command)?;
        let address = bus
            .wait_line("its address", PATIENCE, |line| {
                line.starts_with("unix:").then(|| line.to_owned())
            })
            .await?;
        Ok(Self {
            root,
            bus,
            address,
            stopped: Vec::new(),
        })
    }

    /// The variable, and its value, by which a program finds this keyring.
    pub fn env(&self) -> (&'static str, &str) {
        (VARIABLE, &self.address)
    }

    /// Returns the keyring's own home, where it keeps its files.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Opens the default collection, in a new service that takes the place of the old one; makes it the
    /// first time.
    pub async fn unlock(&self) -> Result<()> {
        // Whoever calls just before the new one has its name makes the bus start another one, locked.
        until("the right password to open it", PATIENCE, async || {
            self.unlock_with(Self::PASSWORD).await.ok()?;
            self.is_locked().await.is_ok_and(|locked| !locked).then_some(())
        })
        .await
    }

    /// Tries a password in the same way.
    pub async fn unlock_with(&self, password: &str) -> Result<()> {
        if self.service().await.is_ok() {
            self.kill_service().await?;
        }
        let mut command = self.command("gnome-keyring-daemon");
        command.args(["--unlock", "--components=secrets"]);
        let mut daemon = Process::spawn(command)?;
        daemon.write_line(password).await?;
        daemon.close_stdin();
        ensure!(daemon.exit(PATIENCE).await?.success(), "{}", daemon.stderr());
        let named = until("the keyring to take its name", PATIENCE, async || {
            self.service().await.ok()
        });
        named.await.map(drop)
    }

    /// Locks the default collection.
    pub async fn lock(&self) -> Result<()> {
        let collection = format!("array:objpath:{DEFAULT_COLLECTION}");
        self.call(
            SERVICE,
            SERVICE_PATH,
            "org.freedesktop.Secret.Service.Lock",
            &[&collection],
        )
        .await?;
        ensure!(self.is_locked().await?, "it is locked");
        Ok(())
    }

    /// Whether the default collection is locked.
    pub async fn is_locked(&self) -> Result<bool> {
        let property = ["string:org.freedesktop.Secret.Collection", "string:Locked"];
        let method = "org.freedesktop.DBus.Properties.Get";
        let answer = self.call(SERVICE, DEFAULT_COLLECTION, method, &property).await?;
        Ok(answer.contains("boolean true"))
    }

    /// Returns what `secret-tool search --all` prints of the items with that attribute.
    pub async fn search(&self, attribute: &str, value: &str) -> Result<String> {
        let mut command = self.command("secret-tool");
        command.args(["search", "--all", attribute, value]);
        let mut process = Process::spawn(command)?;
        process.finish(PATIENCE).await?;
        // The secrets go to one stream, the attributes to the other.
        Ok(process.stdout() + process.stderr().as_str())
    }

    /// Returns how many connections to the bus a process has.
    pub async fn connections_of(&self, process: u32) -> Result<usize> {
        let mut count = 0;
        for name in self.call_bus("ListNames", &[]).await?.split('"') {
            // One that has gone meanwhile is not counted.
            if name.starts_with(':') && self.owner(name).await.is_ok_and(|owner| owner == process) {
                count += 1;
            }
        }
        Ok(count)
    }

    /// Kills the service and returns when the bus has noticed; it starts another one, locked, when it is asked
    /// for.
    pub async fn kill_service(&self) -> Result<()> {
        loop {
            self.kill_owner().await?;
            // An open one that had waited for the name is killed as well; one that the bus has started is locked.
            if self.owner(SERVICE).await.is_err() || self.is_locked().await.unwrap_or(true) {
                return Ok(());
            }
        }
    }

    async fn kill_owner(&self) -> Result<()> {
        let old = self.owner(SERVICE).await?;
        pidfd_send_signal(process(old)?, Signal::KILL)?;
        until("the end of the keyring", PATIENCE, async || {
            self.owner(SERVICE)
                .await
                .is_ok_and(|owner| owner == old)
                .not()
                .then_some(())
        })
        .await
    }

    /// Stops the service: it takes calls and never answers.
    pub async fn stop_service(&mut self) -> Result<()> {
        let service = self.service().await?;
        pidfd_send_signal(&service, Signal::STOP)?;
        self.stopped.push(service);
        Ok(())
    }

    /// Lets what was stopped go on.
    pub fn continue_service(&mut self) -> Result<()> {
        for service in self.stopped.drain(..) {
            pidfd_send_signal(&service, Signal::CONT)?;
        }
        Ok(())
    }

    /// Kills the bus and returns when it is dead. The service ends with it.
    pub async fn kill_bus(&mut self) -> Result<()> {
        self.bus.signal(Signal::KILL)?;
        self.bus.exit(PATIENCE).await?;
        Ok(())
    }

    /// The process that serves at present.
    async fn service(&self) -> Result<OwnedFd> {
        process(self.owner(SERVICE).await?)
    }

    /// Returns the id of the process that has a name on the bus.
    async fn owner(&self, name: &str) -> Result<u32> {
        let name = format!("string:{name}");
        let answer = self.call_bus("GetConnectionUnixProcessID", &[&name]).await?;
        let pid = answer.split_whitespace().last().context("an answer")?;
        Ok(pid.parse()?)
    }

    async fn call_bus(&self, method: &str, arguments: &[&str]) -> Result<String> {
        let name = "org.freedesktop.DBus";
        self.call(
            name,
            "/org/freedesktop/DBus",
            &format!("{name}.{method}"),
            arguments,
        )
        .await
    }

    /// Calls a method and returns the reply as text.
    async fn call(&self, name: &str, path: &str, method: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.command("dbus-send");
        command
            .args(["--print-reply", "--session"])
            .arg(format!("--dest={name}"))
            .args([path, method])
            .args(arguments);
        let mut process = Process::spawn(command)?;
        if !process.finish(PATIENCE).await?.success() {
            bail!("{method}: {}", process.stderr());
        }
        Ok(process.stdout())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = in_home(program, self.root.path());
        command.env(VARIABLE, &self.address);
        command
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        for service in &self.stopped {
            let _ = pidfd_send_signal(service, Signal::KILL);
        }
    }
}

fn process(id: u32) -> Result<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(id)?).context("a process id")?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// A program that sees the keyring's home and nothing else of this machine's user.
fn in_home(program: &str, root: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", root.join("home"))
        .env("XDG_RUNTIME_DIR", root.join("run"))
        .current_dir(root);
    command
}

#[cfg(test)]
#[cfg(feature = "real")]
mod tests {
    use super::*;
    use crate::process::ends;

    #[tokio::test]
    async fn it_is_locked_opened_killed_and_opened_again() {
        let mut keyring = Keyring::start().await.unwrap();
        keyring.lock().await.unwrap();
        keyring.unlock_with("wrong").await.unwrap();
        assert!(keyring.is_locked().await.unwrap());
        keyring.unlock().await.unwrap();
        keyring.kill_service().await.unwrap();
        assert!(keyring.is_locked().await.unwrap(), "the bus started another one");
        keyring.stop_service().await.unwrap();
        keyring.continue_service().unwrap();
        keyring.unlock().await.unwrap();
    }

    #[tokio::test]
    async fn nothing_of_it_outlives_it() {
        let mut keyring = Keyring::start().await.unwrap();
        let service = keyring.service().await.unwrap();
        keyring.stop_service().await.unwrap();
        let bus = pidfd_open(keyring.bus.pid().unwrap(), PidfdFlags::empty()).unwrap();
        drop(keyring);
        assert!(ends(&bus, PATIENCE) && ends(&service, PATIENCE));
    }

    #[tokio::test]
    async fn some_have_no_collection_or_no_service() {
        let fresh = Keyring::never_unlocked().await.unwrap();
        let error = fresh.is_locked().await.unwrap_err();
        assert!(error.to_string().contains("does not exist"), "{error}");
        let bare = Keyring::bus_without_service().await.unwrap();
        let error = bare.is_locked().await.unwrap_err();
        assert!(error.to_string().contains("ServiceUnknown"), "{error}");
    }
}

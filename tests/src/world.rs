//! A home of its own for our three programs, and everything they wrote in it.
//!
//! The environment of what runs here is cleared: the machine's user, keyring and daemon are out of reach.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::binaries::{binary, directory};
use crate::cmdlines::CmdlineSampler;
use crate::keyring::Keyring;
use crate::namespace::Namespace;
use crate::process::{Process, Transcript, end, ends};
use crate::secrets::Haystack;
use crate::wait::{PATIENCE, until};

/// Where tools such as a shell are found by what we start.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Prints every key of the user's keyring, one a line.
const PRINT_KEYS: &str = "keyctl link @u @s; for key in $(keyctl rlist @u); do keyctl pipe $key; echo; done";

/// A temporary home. Dropping it stops its daemon; servers end with their [`Server`].
pub struct World {
    root: TempDir,
    environment: Vec<(String, OsString)>,
    /// Around everything that runs here; few homes have one.
    namespace: Option<Box<Namespace>>,
    written: Mutex<Vec<(String, Transcript)>>,
    configs: AtomicUsize,
}

/// What a finished command left.
#[must_use]
#[derive(Debug)]
pub struct Output {
    /// The exit status.
    pub status: ExitStatus,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

/// A running `ciba-server`.
pub struct Server {
    /// Where it serves, `http://127.0.0.1:PORT`.
    pub url: String,
    /// All of its ready line.
    pub ready: Value,
    /// The process itself, to signal or to read.
    pub process: Process,
}

impl Output {
    /// Waits for a command's end.
    pub async fn of(process: &mut Process) -> Result<Self> {
        let status = process.finish(PATIENCE).await?;
        Ok(Self {
            status,
            stdout: process.stdout(),
            stderr: process.stderr(),
        })
    }

    /// The exit code; `None` after a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The standard output of a command that had to succeed, without its last line end.
    ///
    /// # Panics
    /// If it failed.
    pub fn success(self) -> String {
        assert!(self.status.success(), "{self:?}");
        self.stdout.trim_end_matches('\n').to_owned()
    }
}

impl World {
    /// Makes an empty home with the directories of the XDG specification.
    pub fn new() -> Result<Self> {
        let root = TempDir::with_prefix("ciba-")?;
        let mut environment = vec![("PATH".to_owned(), search_path()?)];
        let folders = [
            ("HOME", "home"),
            ("XDG_RUNTIME_DIR", "run"),
            ("XDG_STATE_HOME", "home/.local/state"),
            ("XDG_CONFIG_HOME", "home/.config"),
        ];
        for (variable, folder) in folders {
            let folder = root.path().join(folder);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)?;
            environment.push((variable.to_owned(), folder.into()));
        }
        // The kernel's keyring belongs to the user of this machine, whatever the home.
        environment.push(("CIBA_ALLOWED_KEYCHAINS".to_owned(), "memory".into()));
        Ok(Self {
            root,
            environment,
            namespace: None,
            written: Mutex::default(),
            configs: AtomicUsize::default(),
        })
    }

    /// Makes a home whose daemon keeps its logins in a kernel keyring that is this home's alone.
    pub async fn with_kernel_keyring() -> Result<Self> {
        let mut world = Self::new()?;
        world.namespace = Some(Box::new(Namespace::new().await?));
        world.set("CIBA_ALLOWED_KEYCHAINS", "kernel");
        Ok(world)
    }

    /// Makes a home whose daemon keeps its logins in that keyring and nowhere else.
    pub fn with_keyring(keyring: &Keyring) -> Result<Self> {
        let mut world = Self::new()?;
        let (variable, address) = keyring.env();
        world.set(variable, address);
        world.set("CIBA_ALLOWED_KEYCHAINS", "secret-service");
        Ok(world)
    }

    /// Sets a variable for everything started from now on, such as `CIBA_URL`.
    pub fn set(&mut self, variable: &str, value: impl Into<OsString>) {
        self.environment.retain(|(name, _)| name != variable);
        self.environment.push((variable.to_owned(), value.into()));
    }

    /// The user's home directory.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// The daemon's socket, whether or not it is there (I-001).
    pub fn socket(&self) -> PathBuf {
        self.root.path().join("run/ciba/agent.sock")
    }

    /// Returns a command in this home: its environment and nothing else, with the home as current directory.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self.bare_command(program.as_ref());
        command
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir(self.home());
        command
    }

    fn bare_command(&self, program: &Path) -> Command {
        let Some(namespace) = &self.namespace else {
            return Command::new(program);
        };
        let mut command = namespace.command();
        command.arg(program);
        command
    }

    /// Starts a command of this home; what it prints belongs to what was written here.
    pub fn spawn(&self, command: Command) -> Result<Process> {
        let process = Process::spawn(command)?;
        let entry = (process.name().to_owned(), process.transcript());
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
        Ok(process)
    }

    /// Runs our client to its end.
    pub async fn ciba(&self, arguments: &[&str]) -> Result<Output> {
        let mut process = self.spawn_ciba(arguments)?;
        process.close_stdin();
        Output::of(&mut process).await
    }

    /// Starts our client and leaves it running.
    pub fn spawn_ciba(&self, arguments: &[&str]) -> Result<Process> {
        let mut command = self.command(binary("ciba"));
        command.args(arguments);
        self.spawn(command)
    }

    /// Starts our daemon in the foreground, where most tests let `ciba` start it.
    pub fn spawn_cibad(&self, arguments: &[&str]) -> Result<Process> {
        let mut command = self.command(binary("cibad"));
        command.arg("--foreground").args(arguments);
        self.spawn(command)
    }

    /// Starts `ciba-server dev` and waits until it serves.
    pub async fn server_dev(&self) -> Result<Server> {
        self.start_server(&["dev".into(), "--listen".into(), "127.0.0.1:0".into()])
            .await
    }

    /// Starts `ciba-server serve` with this configuration, which says `listen = "127.0.0.1:0"`.
    ///
    /// Relative paths in it lie in the home. A store that is not there is made before.
    pub async fn server(&self, config_toml: &str) -> Result<Server> {
        let _ = self.ciba_server("init", config_toml).await?.success();
        self.server_with_store(config_toml).await
    }

    /// Runs a command of `ciba-server` with this configuration to its end.
    pub async fn ciba_server(&self, name: &str, config_toml: &str) -> Result<Output> {
        let mut command = self.command(binary("ciba-server"));
        command
            .arg(name)
            .arg("--config")
            .arg(self.config_file(config_toml)?);
        Output::of(&mut self.spawn(command)?).await
    }

    fn config_file(&self, config_toml: &str) -> Result<PathBuf> {
        let number = self.configs.fetch_add(1, Ordering::Relaxed);
        let file = self.root.path().join(format!("server-{number}.toml"));
        fs::write(&file, config_toml)?;
        Ok(file)
    }

    /// The same, on a store that has to be there.
    pub async fn server_with_store(&self, config_toml: &str) -> Result<Server> {
        let file = self.config_file(config_toml)?;
        self.start_server(&["serve".into(), "--config".into(), file.into()])
            .await
    }

    async fn start_server(&self, arguments: &[OsString]) -> Result<Server> {
        let mut command = self.command(binary("ciba-server"));
        command.args(arguments);
        let mut process = self.spawn(command)?;
        let ready = process
            .wait_json("its ready line", PATIENCE, |line| line["ready"] == true)
            .await?;
        let url = ready["url"]
            .as_str()
            .context("the ready line has a url")?
            .to_owned();
        Ok(Server { url, ready, process })
    }

    /// Returns the logins that the kernel's keyring keeps, as `cibad` has written them.
    pub async fn kernel_logins(&self) -> Result<Vec<Value>> {
        let mut command = self.command("keyctl");
        // What is in the session's keyring may be read.
        command.args(["session", "-", "sh", "-c", PRINT_KEYS]);
        let printed = Output::of(&mut Process::spawn(command)?).await?.success();
        let logins = printed.lines().filter(|line| line.starts_with('{'));
        Ok(logins.map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    /// Returns the daemon's process id by asking the kernel who listens on its socket.
    pub fn daemon(&self) -> Option<Pid> {
        let stream = UnixStream::connect(self.socket()).ok()?;
        let peer = rustix::net::sockopt::socket_peercred(stream).ok()?;
        (peer.pid != rustix::process::getpid()).then_some(peer.pid)
    }

    /// Waits until the first login is in that keychain.
    pub async fn until_kept(&self, keychain: &str) -> Result<()> {
        until("the login to be kept", PATIENCE, async || {
            let status = self.status().await.ok()?;
            (status["profiles"][0]["kept"]["keychain"] == keychain).then_some(())
        })
        .await
    }

    /// Waits until no daemon is left: its lock is free, and there is no socket.
    pub async fn until_no_daemon(&self) -> Result<()> {
        until("the daemon to leave", PATIENCE, async || {
            (!self.socket().exists() && self.lock_is_free()).then_some(())
        })
        .await
    }

    fn lock_is_free(&self) -> bool {
        let lock = fs::File::open(self.socket().with_extension("lock"));
        lock.is_err() || lock.is_ok_and(|lock| lock.try_lock().is_ok())
    }

    /// Kills the daemon without a word and waits until it is dead.
    pub fn kill_daemon(&self) -> Result<()> {
        let pid = self.daemon().context("no daemon serves")?;
        let daemon = pidfd_open(pid, PidfdFlags::empty())?;
        kill_process(pid, Signal::KILL)?;
        anyhow::ensure!(ends(&daemon, PATIENCE), "the daemon outlives SIGKILL");
        Ok(())
    }

    /// Watches the arguments of every process from now until the sampler is stopped.
    pub fn cmdlines(&self) -> CmdlineSampler {
        CmdlineSampler::start()
    }

    /// Returns all that was written in this home: files below it, and both streams of every command.
    ///
    /// A command's place is `stdout of ciba token …`: leave out those that print a token on purpose.
    pub fn everything_written(&self) -> Result<Vec<Haystack>> {
        let mut all = Vec::new();
        for (name, transcript) in self.written.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for (stream, text) in [("stdout", &transcript.stdout), ("stderr", &transcript.stderr)] {
                all.push(Haystack {
                    place: format!("{stream} of {name}"),
                    bytes: text.copy().into_bytes(),
                });
            }
        }
        self.read_files(self.root.path(), &mut all)?;
        Ok(all)
    }

    fn read_files(&self, folder: &Path, all: &mut Vec<Haystack>) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            if kind.is_dir() {
                self.read_files(&path, all)?;
            } else if !kind.is_socket() && !kind.is_fifo() {
                let place = path.strip_prefix(self.root.path())?.display().to_string();
                // A journal may have gone since the folder was read.
                all.extend(fs::read(&path).ok().map(|bytes| Haystack { place, bytes }));
            }
        }
        Ok(())
    }

    /// `ciba stop --all`, for the daemon's own good end; whether it worked shows in what is left.
    fn stop_politely(&self) {
        let mut command = self.command(binary("ciba")).into_std();
        command
            .args(["stop", "--all"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let Ok(mut client) = command.spawn() else { return };
        let pid = Pid::from_child(&client);
        if pidfd_open(pid, PidfdFlags::empty()).is_ok_and(|process| !ends(&process, PATIENCE)) {
            end(pid);
        }
        let _ = client.wait();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.daemon().is_none() {
            return;
        }
        self.stop_politely();
        if let Some(pid) = self.daemon() {
            end(pid);
        }
    }
}

/// Returns a port that was free a moment ago, for what must be known before it listens.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn search_path() -> Result<OsString> {
    let system = std::env::split_paths(SYSTEM_PATH);
    Ok(std::env::join_paths(std::iter::once(directory()).chain(system))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_runs_in_a_world_sees_that_world_alone() {
        let mut world = World::new().unwrap();
        world.set("CIBA_URL", "http://one");
        world.set("CIBA_URL", "http://two");
        let mut process = world.spawn(world.command("/usr/bin/env")).unwrap();
        process.finish(PATIENCE).await.unwrap();
        let stdout = process.stdout();
        let mut names: Vec<_> = stdout
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0))
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "CIBA_ALLOWED_KEYCHAINS",
                "CIBA_URL",
                "HOME",
                "PATH",
                "XDG_CONFIG_HOME",
                "XDG_RUNTIME_DIR",
                "XDG_STATE_HOME"
            ]
        );
        assert!(stdout.contains("CIBA_URL=http://two"));
    }

    #[tokio::test]
    async fn everything_written_has_streams_and_files() {
        let world = World::new().unwrap();
        let mut command = world.command("/bin/sh");
        command.args([
            "-c",
            "echo said; echo warned >&2; echo kept > .config/file; mkfifo pipe",
        ]);
        world.spawn(command).unwrap().finish(PATIENCE).await.unwrap();
        let all = world.everything_written().unwrap();
        let at = |place: &str| {
            all.iter()
                .find(|h| h.place.contains(place))
                .map(|h| h.bytes.as_slice())
        };
        assert_eq!(at("stdout of sh"), Some(&b"said\n"[..]));
        assert_eq!(at("stderr of sh"), Some(&b"warned\n"[..]));
        assert_eq!(at("home/.config/file"), Some(&b"kept\n"[..]));
    }

    #[test]
    fn i_001_the_runtime_directory_is_the_users_alone() {
        use std::os::unix::fs::PermissionsExt;
        let world = World::new().unwrap();
        let mode = fs::metadata(world.root.path().join("run"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

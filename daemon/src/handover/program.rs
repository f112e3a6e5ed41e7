//! The program that is installed now: whether it is another one than this process runs, whether it can be trusted and
//! run, and the step into it (execve).

use std::cell::OnceCell;
use std::env;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tracing::warn;

use super::{ARGUMENT, HandOver, HandOverError, give};
use crate::ownership;
use crate::service;

/// How long the next program may take to say that it can be run.
const TRIAL: Duration = Duration::from_secs(5);

/// The group `admin` of macOS.
const ADMINISTRATORS: u32 = 80;

/// The permission to write of a file's group.
const GROUP_WRITES: u32 = 0o020;

/// The program that this process runs, as it was when it started.
pub(crate) struct Program {
    /// The name that leads to the next one as well: a link where it was started by a link.
    path: PathBuf,
    file: Identity,
    /// Kept once the system has refused to run another program; see [`carry_on`].
    refused: OnceCell<Signal>,
}

/// Device, inode and time of the last change (seconds, nanoseconds).
type Identity = (u64, u64, i64, i64);

impl Program {
    /// Returns the program of this process.
    pub(crate) fn running() -> io::Result<Self> {
        let actual = env::current_exe()?;
        let file = identity(&fs::metadata(RUNNING.map_or(actual.as_path(), Path::new))?);
        Ok(Self {
            path: started_as(file).unwrap_or(actual),
            file,
            refused: OnceCell::new(),
        })
    }

    /// Returns what leads to it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether another program is installed in its place now. A file that is gone is not another program.
    pub(crate) fn is_replaced(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|seen| identity(&seen) != self.file)
    }

    /// Runs the program in the place of this one to see that it can be run here, and that it knows how to take
    /// over: what fails now costs nothing.
    pub(crate) async fn try_out(&self) -> Result<(), HandOverError> {
        if self.refused.get().is_some() {
            return Err(HandOverError::Again);
        }
        self.check_owner()?;
        let failed = |reason: &str| HandOverError::Trial(reason.into());
        let mut trial = tokio::process::Command::new(&self.path);
        // Known arguments are read up to the one that prints and ends.
        trial
            .args([ARGUMENT, "--version"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        for variable in service::VARIABLES {
            trial.env_remove(variable);
        }
        match timeout(TRIAL, trial.status()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(failed(&status.to_string())),
            Ok(Err(error)) => Err(failed(&error.to_string())),
            Err(_) => Err(failed("it does not end")),
        }
    }

    /// Makes this process run the program in its place, with `arguments` and the same environment. Returns only
    /// when that fails; then what was to be handed over is as it was.
    pub(crate) fn replace(&self, arguments: &[&str], hand_over: &HandOver) -> HandOverError {
        if let Err(error) = self.check_owner() {
            return error;
        }
        let theirs = match give(hand_over) {
            Ok(theirs) => theirs,
            Err(error) => return HandOverError::Give(error),
        };
        let error = Command::new(&self.path)
            .arg(ARGUMENT)
            .args(arguments)
            .stdin(OwnedFd::from(theirs))
            .exec();
        match carry_on() {
            // Only one failure can be made good, so there is only one.
            Ok(signal) => drop(self.refused.set(signal)),
            Err(error) => warn!(%error, "standard input and SIGPIPE are not as they were"),
        }
        HandOverError::Exec(error)
    }

    /// Refuses what another user could have put there: the program, and where it or a link to it lies.
    fn check_owner(&self) -> Result<(), HandOverError> {
        let unseen = |error: io::Error| HandOverError::Trial(error.to_string());
        let uid = rustix::process::geteuid().as_raw();
        let file = self.path.canonicalize().map_err(unseen)?;
        let directories = [file.parent(), self.path.parent()].into_iter().flatten();
        for place in directories.chain([file.as_path()]) {
            let seen = fs::metadata(place).map_err(unseen)?;
            ownership::check(seen.uid(), mode(&seen), uid)
                .map_err(|problem| HandOverError::Untrusted(place.into(), problem))?;
        }
        Ok(())
    }
}

/// Returns the absolute path by which this process was started, if that leads to its program.
fn started_as(program: Identity) -> Option<PathBuf> {
    let name = env::args_os().next()?;
    let path = env::var_os("PATH").unwrap_or_default();
    let is_it = |path: &Path| fs::metadata(path).is_ok_and(|seen| identity(&seen) == program);
    std::path::absolute(ipc_proto::started_as(&name, &path, is_it)?).ok()
}

/// The permissions that count. An administrator of a Mac may become root, and Homebrew's directories are theirs.
fn mode(seen: &Metadata) -> u32 {
    let is_administrators = cfg!(target_os = "macos") && seen.gid() == ADMINISTRATORS;
    let harmless = if is_administrators { GROUP_WRITES } else { 0 };
    seen.mode() & !harmless
}

/// The running program's file, also when its name leads to another one by now.
const RUNNING: Option<&str> = if cfg!(target_os = "linux") {
    Some("/proc/self/exe")
} else {
    None
};

fn identity(file: &Metadata) -> Identity {
    (file.dev(), file.ino(), file.mtime(), file.mtime_nsec())
}

/// Puts right what an attempt to run another program leaves behind. Standard input is what was to be handed over. A
/// client that has gone ends this process by SIGPIPE, unless it listens to that signal.
fn carry_on() -> io::Result<Signal> {
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    signal(SignalKind::pipe())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_replaced_when_another_file_lies_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cibad");
        fs::write(&path, "old").unwrap();
        let program = Program {
            file: identity(&fs::metadata(&path).unwrap()),
            path: path.clone(),
            refused: OnceCell::new(),
        };
        assert!(!program.is_replaced());
        fs::rename(&path, directory.path().join("cibad.old")).unwrap();
        assert!(!program.is_replaced(), "nothing is there to hand over to");
        fs::write(&path, "new").unwrap();
        assert!(program.is_replaced());
    }

    #[test]
    fn the_running_program_is_not_replaced() {
        assert!(!Program::running().unwrap().is_replaced());
    }

    #[tokio::test]
    async fn a_program_that_cannot_take_over_is_found_out() {
        let program = |path: &str| Program {
            path: path.into(),
            file: (0, 0, 0, 0),
            refused: OnceCell::new(),
        };
        assert!(program("/bin/true").try_out().await.is_ok());
        assert!(program("/bin/false").try_out().await.is_err());
        assert!(program("/dev/null").try_out().await.is_err());
        assert!(program("/nowhere").try_out().await.is_err());
    }
}

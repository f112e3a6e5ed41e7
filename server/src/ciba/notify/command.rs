//! Telling a person through a program of the operator's: the notice as one line of JSON on its standard input.

use std::ffi::OsString;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;

use super::error::NotifyError;
use super::notice::Notice;

/// The program.
pub(super) struct Command {
    /// Itself, and its arguments.
    argv: Vec<String>,
    /// The only variable that it gets: the server's own may hold secrets.
    path: Option<OsString>,
}

impl Command {
    pub(super) fn new(argv: Vec<String>) -> Self {
        let path = std::env::var_os("PATH");
        Self { argv, path }
    }

    /// Runs the program to its end. Dropped before that, the program and all that it started are killed.
    pub(super) async fn tell(&self, notice: &Notice) -> Result<(), NotifyError> {
        let mut running = self.start().map_err(NotifyError::Start)?;
        let json = notice.json();
        let stdin = running.0.stdin.take();
        let write = async {
            // A program that does not read has still been told. The pipe closes at the end.
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(&json).await;
                let _ = stdin.write_all(b"\n").await;
            }
        };
        let ((), status) = tokio::join!(write, running.0.wait());
        match status.map_err(NotifyError::Start)? {
            status if status.success() => Ok(()),
            status => Err(NotifyError::Exit(status)),
        }
    }

    fn start(&self) -> std::io::Result<Running> {
        let [program, arguments @ ..] = self.argv.as_slice() else {
            return Err(std::io::ErrorKind::NotFound.into());
        };
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.path.iter().map(|path| ("PATH", path)))
            .stdin(Stdio::piped())
            // It was given a secret link, and what it prints would be in the log.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        command.spawn().map(Running)
    }
}

/// The program while it runs, at the head of a process group of its own.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // There is an id until the program was reaped, so the group is still its own.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

//! A program of the operator's: reads one line on its standard input, and may answer on its standard output.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout};
use zeroize::Zeroizing;

/// The program.
pub(crate) struct Program {
    /// Itself, and its arguments.
    argv: Vec<String>,
    /// The only variable that it gets: the server's own may hold secrets.
    path: Option<OsString>,
}

/// Why a program did not do its part.
#[derive(Debug, Error)]
pub(crate) enum ProgramError {
    /// It cannot be started, or waited for.
    #[error("it cannot be started: {}", .0.kind())]
    Start(#[source] std::io::Error),
    /// It failed.
    #[error("{0}")]
    Exit(ExitStatus),
    /// It answers too much.
    #[error("its answer is too long")]
    TooLong,
}

impl Program {
    pub(crate) fn new(argv: Vec<String>) -> Self {
        let path = std::env::var_os("PATH");
        Self { argv, path }
    }

    /// Runs the program to its end. Dropped before that, the program and all that it started are killed.
    pub(crate) async fn tell(&self, line: &[u8]) -> Result<(), ProgramError> {
        // It was given secrets, and what it prints would be in the log.
        let mut running = self.start(Stdio::null())?;
        let write = write(running.0.stdin.take(), line);
        let ((), status) = tokio::join!(write, running.0.wait());
        succeeded(status)
    }

    /// Does so, and returns what the program prints, `most` bytes of it.
    pub(crate) async fn ask(&self, line: &[u8], most: usize) -> Result<Zeroizing<Vec<u8>>, ProgramError> {
        let mut running = self.start(Stdio::piped())?;
        let write = write(running.0.stdin.take(), line);
        let (stdin, stdout) = (write, read(running.0.stdout.take(), most));
        let ((), answer) = tokio::join!(stdin, stdout);
        let answer = answer?;
        succeeded(running.0.wait().await)?;
        Ok(answer)
    }

    fn start(&self, stdout: Stdio) -> Result<Running, ProgramError> {
        let [program, arguments @ ..] = self.argv.as_slice() else {
            return Err(ProgramError::Start(std::io::ErrorKind::NotFound.into()));
        };
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.path.iter().map(|path| ("PATH", path)))
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        command.spawn().map(Running).map_err(ProgramError::Start)
    }
}

/// Writes a line. A program that does not read has still been told. The pipe closes at the end.
async fn write(stdin: Option<ChildStdin>, line: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(line).await;
        let _ = stdin.write_all(b"\n").await;
    }
}

async fn read(stdout: Option<ChildStdout>, most: usize) -> Result<Zeroizing<Vec<u8>>, ProgramError> {
    let mut answer = Zeroizing::new(Vec::with_capacity(most + 1));
    if let Some(stdout) = stdout {
        let one_more = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        let mut stdout = stdout.take(one_more);
        stdout
            .read_to_end(&mut answer)
            .await
            .map_err(ProgramError::Start)?;
    }
    if answer.len() > most {
        return Err(ProgramError::TooLong);
    }
    Ok(answer)
}

fn succeeded(status: std::io::Result<ExitStatus>) -> Result<(), ProgramError> {
    match status.map_err(ProgramError::Start)? {
        status if status.success() => Ok(()),
        status => Err(ProgramError::Exit(status)),
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

//! A child process that cannot be left behind: its lines can be awaited, everything it printed is kept, and
//! dropping it ends it, with whatever it started in its process group.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a process has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// A running child. Ended with SIGTERM, then SIGKILL, and reaped on drop.
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    incoming: mpsc::UnboundedReceiver<String>,
    unread: VecDeque<String>,
    printed: Transcript,
}

/// What a process printed so far, by stream; shared, so it outlives the process.
#[derive(Clone, Default)]
pub(crate) struct Transcript {
    pub(crate) stdout: Text,
    pub(crate) stderr: Text,
}

/// Text that grows while a test reads it.
#[derive(Clone, Default)]
pub(crate) struct Text(Arc<Mutex<String>>);

impl Text {
    pub(crate) fn copy(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(&self, line: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(line);
    }
}

impl Process {
    /// Starts `command` with its three streams piped, at the head of a process group of its own.
    pub fn spawn(mut command: Command) -> Result<Self> {
        let name = described(&command);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
        let (lines, incoming) = mpsc::unbounded_channel();
        let printed = Transcript::default();
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(read_lines(stdout, printed.stdout.clone(), lines.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(read_lines(stderr, printed.stderr.clone(), lines));
        }
        let stdin = child.stdin.take();
        Ok(Self {
            name,
            child,
            stdin,
            incoming,
            unread: VecDeque::new(),
            printed,
        })
    }

    /// Returns the process id, `None` once the process was seen to end.
    pub fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }

    /// Returns what `pick` makes of the first line, of either stream, that it accepts.
    ///
    /// That line is used up; the others stay for later calls, so the order of waiting is free.
    pub async fn wait_line<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        for (position, line) in self.unread.iter().enumerate() {
            if let Some(found) = pick(line) {
                self.unread.remove(position);
                return Ok(found);
            }
        }
        let deadline = Instant::now() + within;
        loop {
            let line = match timeout_at(deadline, self.incoming.recv()).await {
                Ok(Some(line)) => line,
                Ok(None) => bail!("{} ended without {what}; {}", self.name, self.quoted()),
                Err(_) => bail!(
                    "{} did not print {what} in {within:?}; {}",
                    self.name,
                    self.quoted()
                ),
            };
            if let Some(found) = pick(&line) {
                return Ok(found);
            }
            self.unread.push_back(line);
        }
    }

    /// Returns the first line that is JSON and that `accept` accepts.
    pub async fn wait_json(
        &mut self,
        what: &str,
        within: Duration,
        accept: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.wait_line(what, within, |line| {
            serde_json::from_str(line).ok().filter(&accept)
        })
        .await
    }

    /// Writes one line to the process's standard input.
    pub async fn write_line(&mut self, line: &str) -> Result<()> {
        let stdin = self
            .stdin
            .as_mut()
            .with_context(|| format!("{}: standard input is closed", self.name))?;
        stdin.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(stdin.flush().await?)
    }

    /// Closes the process's standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal to the process alone, not to its group.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().with_context(|| format!("{} has ended", self.name))?;
        Ok(kill_process(pid, signal)?)
    }

    /// Waits for the process to end by itself.
    pub async fn exit(&mut self, within: Duration) -> Result<ExitStatus> {
        match timeout(within, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} did not end in {within:?}; {}", self.name, self.quoted()),
        }
    }

    /// Waits for the process to end and for the last line of both its streams.
    pub async fn finish(&mut self, within: Duration) -> Result<ExitStatus> {
        let status = self.exit(within).await?;
        let drained = async { while self.incoming.recv().await.is_some() {} };
        timeout(within, drained)
            .await
            .map_err(|_| anyhow!("{}: another process keeps its output open", self.name))?;
        Ok(status)
    }

    /// Returns everything printed so far on standard output.
    pub fn stdout(&self) -> String {
        self.printed.stdout.copy()
    }

    /// Returns everything printed so far on standard error.
    pub fn stderr(&self) -> String {
        self.printed.stderr.copy()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn transcript(&self) -> Transcript {
        self.printed.clone()
    }

    fn quoted(&self) -> String {
        format!("stdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Until it is reaped, which only this type does, no other process can have its id or its group's.
        let Some(pid) = self.pid() else { return };
        end(pid);
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.child.try_wait();
    }
}

/// Ends a process that need not be a child: SIGTERM, SIGKILL after [`GRACE`].
pub(crate) fn end(pid: Pid) {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    for signal in [Signal::TERM, Signal::KILL] {
        let _ = kill_process(pid, signal);
        if ends(&process, GRACE) {
            return;
        }
    }
}

/// Whether the process behind the descriptor ends in time; a zombie counts as ended.
pub(crate) fn ends(process: &impl std::os::fd::AsFd, within: Duration) -> bool {
    let within = Timespec::try_from(within).ok();
    matches!(
        poll(&mut [PollFd::new(process, PollFlags::IN)], within.as_ref()),
        Ok(1..)
    )
}

/// The program's name and arguments, for messages.
fn described(command: &Command) -> String {
    let command = command.as_std();
    let program = std::path::Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words: Vec<_> = std::iter::once(program)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    words.join(" ")
}

async fn read_lines(stream: impl AsyncRead + Unpin, kept: Text, lines: mpsc::UnboundedSender<String>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while matches!(stream.read_until(b'\n', &mut line).await, Ok(1..)) {
        let text = String::from_utf8_lossy(&line);
        kept.push(&text);
        // A receiver that is gone wants no lines; the transcript goes on.
        let _ = lines.send(text.trim_end_matches(['\r', '\n']).to_owned());
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{PATIENCE, until};

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn(command).unwrap()
    }

    fn exact(wanted: &str) -> impl FnMut(&str) -> Option<()> {
        move |line| (line == wanted).then_some(())
    }

    #[tokio::test]
    async fn lines_of_both_streams_are_found_in_any_order_and_kept() {
        let mut process = shell("echo one; echo two >&2; read line; echo \"got $line\"");
        process.wait_line("two", PATIENCE, exact("two")).await.unwrap();
        process.wait_line("one", PATIENCE, exact("one")).await.unwrap();
        process.write_line("x").await.unwrap();
        assert!(process.finish(PATIENCE).await.unwrap().success());
        assert_eq!(
            (process.stdout(), process.stderr()),
            ("one\ngot x\n".to_owned(), "two\n".to_owned())
        );
    }

    #[tokio::test]
    async fn an_end_without_the_line_says_what_was_printed() {
        let error = shell("echo instead")
            .wait_line("a promise", PATIENCE, exact("promised"))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("ended without a promise") && text.contains("instead"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn drop_ends_the_process_and_its_group() {
        let mut process = shell("sleep 1000 & echo $!; wait");
        let sleeper: i32 = process
            .wait_line("an id", PATIENCE, |line| line.parse().ok())
            .await
            .unwrap();
        let sleeper = Pid::from_raw(sleeper).unwrap();
        let both = [process.pid().unwrap(), sleeper].map(|pid| pidfd_open(pid, PidfdFlags::empty()).unwrap());
        drop(process);
        until("the end of both", PATIENCE, async || {
            both.iter()
                .all(|process| ends(process, Duration::ZERO))
                .then_some(())
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn drop_kills_what_ignores_a_polite_word() {
        let mut process = shell("trap '' TERM; echo ready; while :; do read line; done");
        process
            .wait_line("ready", PATIENCE, exact("ready"))
            .await
            .unwrap();
        let stubborn = pidfd_open(process.pid().unwrap(), PidfdFlags::empty()).unwrap();
        drop(process);
        assert!(ends(&stubborn, Duration::ZERO));
    }
}

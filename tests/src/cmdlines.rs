//! Watches the arguments of every process on the machine, where no secret may ever be seen.

use std::collections::BTreeSet;
use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::secrets::Haystack;

/// Time between two samples; a process that lives shorter may be missed.
const INTERVAL: Duration = Duration::from_millis(2);

/// Samples `/proc/*/cmdline` from its making until [`CmdlineSampler::stop`].
#[must_use]
pub struct CmdlineSampler {
    stop: Sender<()>,
    thread: JoinHandle<BTreeSet<Vec<u8>>>,
}

impl CmdlineSampler {
    /// Starts a thread that samples until it is stopped or this is dropped.
    pub(crate) fn start() -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                seen.extend(now());
            }
            seen.extend(now());
            seen
        });
        Self { stop, thread }
    }

    /// Takes a last sample and returns every distinct argument list seen, NUL bytes between the words.
    #[must_use]
    pub fn stop(self) -> Vec<Haystack> {
        drop(self.stop);
        let seen = self.thread.join().unwrap_or_default();
        seen.into_iter()
            .map(|bytes| Haystack {
                place: "a process's arguments".to_owned(),
                bytes,
            })
            .collect()
    }
}

fn now() -> impl Iterator<Item = Vec<u8>> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    // Threads and the machine's own entries have none; a process may end while we look.
    processes
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Process;
    use crate::secrets::assert_nowhere;
    use crate::wait::PATIENCE;

    #[tokio::test]
    #[should_panic(expected = "a process's arguments")]
    async fn a_secret_in_an_argument_list_is_seen() {
        let sampler = CmdlineSampler::start();
        let mut command = tokio::process::Command::new("sh");
        command
            .args(["-c", "echo ready; read line"])
            .arg0("c3VwZXItc2VjcmV0LWFyZ3VtZW50");
        // A process that was started a moment ago may have no arguments yet.
        let mut process = Process::spawn(command).unwrap();
        let ready = |line: &str| (line == "ready").then_some(());
        process.wait_line("ready", PATIENCE, ready).await.unwrap();
        assert_nowhere(b"super-secret-argument", &sampler.stop());
    }
}

//! Writes down who got which token: one JSON line each, beside the log. One thread owns the file; a client never waits for
//! the disk, and a disk that is full costs entries, not tokens.

mod file;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use ipc_proto::AuditEntry;
use jiff::Timestamp;
use tracing::warn;

use self::file::AuditFile;

/// Entries that may wait for the disk; more are lost, which the log says.
const WAITING: usize = 256;

/// Entries that are written at once.
const BATCH: usize = 64;

/// Time for the disk to take what waits when the daemon leaves.
const LEAVING: Duration = Duration::from_secs(1);

/// Where entries go; cheap to clone.
#[derive(Clone)]
pub(crate) struct Audit(Option<Queue>);

#[derive(Clone)]
struct Queue {
    jobs: SyncSender<Job>,
    /// Whether the last entry was lost, which the log says once.
    is_full: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
}

enum Job {
    Write(AuditEntry),
    /// Say when what came before is written.
    Tell(SyncSender<()>),
}

impl Audit {
    /// Begins to write into this file; a user without a home has none.
    pub(crate) fn start(path: Option<PathBuf>) -> Self {
        let Some(path) = path else {
            return Self(None);
        };
        let (sender, jobs) = sync_channel(WAITING);
        let thread = thread::Builder::new().name("audit".into());
        let lost = Arc::<AtomicU64>::default();
        let unwritten = Arc::clone(&lost);
        match thread.spawn(move || write(&jobs, AuditFile::at(path), &unwritten)) {
            Ok(_) => Self(Some(Queue {
                jobs: sender,
                is_full: Arc::default(),
                lost,
            })),
            Err(error) => {
                warn!(%error, "no audit is written");
                Self(None)
            }
        }
    }

    /// Has an entry written, soon.
    pub(crate) fn note(&self, entry: AuditEntry) {
        let Some(Queue { jobs, is_full, lost }) = &self.0 else {
            return;
        };
        let noted = jobs.try_send(Job::Write(entry));
        let is_lost = matches!(noted, Err(TrySendError::Full(_)));
        lost.fetch_add(is_lost.into(), Ordering::Relaxed);
        if !is_full.swap(is_lost, Ordering::Relaxed) && is_lost {
            warn!("the disk is slow: entries of the audit are lost");
        }
    }

    /// Returns how many entries were lost since the daemon began.
    pub(crate) fn lost(&self) -> u64 {
        self.0
            .as_ref()
            .map_or(0, |queue| queue.lost.load(Ordering::Relaxed))
    }

    /// Waits until what was noted is written, but not for long.
    pub(crate) fn finish(&self) {
        let Some(Queue { jobs, .. }) = &self.0 else {
            return;
        };
        let (sender, told) = sync_channel(1);
        if jobs.try_send(Job::Tell(sender)).is_err()
            || told.recv_timeout(LEAVING) == Err(RecvTimeoutError::Timeout)
        {
            warn!("the last entries of the audit may be lost");
        }
    }
}

/// Returns the time, UTC to the second (RFC 3339).
pub(crate) fn time() -> String {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// Writes until the last sender is gone, and counts what could not be written.
fn write(jobs: &Receiver<Job>, mut file: AuditFile, lost: &AtomicU64) {
    while let Ok(first) = jobs.recv() {
        let (mut lines, mut entries, mut told) = (Vec::new(), 0, Vec::new());
        for job in std::iter::once(first).chain(jobs.try_iter().take(BATCH)) {
            match job {
                Job::Write(entry) => {
                    line(&mut lines, &entry);
                    entries += 1;
                }
                Job::Tell(sender) => told.push(sender),
            }
        }
        if !file.append(&lines) {
            lost.fetch_add(entries, Ordering::Relaxed);
        }
        for sender in told {
            let _ = sender.send(());
        }
    }
}

fn line(lines: &mut Vec<u8>, entry: &AuditEntry) {
    serde_json::to_writer(&mut *lines, entry).expect("a Vec takes every write, and no map has odd keys");
    lines.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn entry(serial: u64) -> AuditEntry {
        AuditEntry {
            time: "2026-01-31T12:00:00Z".into(),
            tool: "git".into(),
            pid: None,
            executable: None,
            host: None,
            resource: "urn:d:git".into(),
            profile: None,
            client_id: None,
            serial,
        }
    }

    #[test]
    fn what_was_noted_is_there_when_the_daemon_leaves() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/audit.jsonl");
        let audit = Audit::start(Some(path.clone()));
        for serial in 0..200 {
            audit.note(entry(serial));
        }
        audit.finish();
        let lines = fs::read_to_string(path).unwrap();
        let serials = lines
            .lines()
            .map(|line| serde_json::from_str::<AuditEntry>(line).unwrap().serial);
        assert!(serials.eq(0..200));
        assert_eq!(audit.lost(), 0);
        Audit::start(None).note(entry(1));
        Audit::start(None).finish();
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("audit.jsonl");
        fs::create_dir(&path).unwrap();
        let audit = Audit::start(Some(path));
        (0..3).for_each(|serial| audit.note(entry(serial)));
        audit.finish();
        assert_eq!(audit.lost(), 3);
    }
}

//! What a process costs, as the kernel counts it: memory and processor time from `/proc`.

use std::fs;
use std::ops::Sub;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

/// Length of the ticks in `/proc/PID/stat`: USER_HZ is 100 for programs, whatever the kernel's own is.
const TICK: Duration = Duration::from_millis(10);

/// A process's memory and processor time at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Resident memory, bytes.
    pub(crate) rss: u64,
    /// Of it what the process wrote itself; most of the rest are pages of its program file.
    pub(crate) anonymous: u64,
    /// Processor time of all its threads.
    pub(crate) cpu: Cpu,
}

/// Processor time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpu {
    /// All of it, to the nanosecond.
    pub(crate) total: Duration,
    /// Of it in the kernel on the process's behalf: sampled, so good for long runs only.
    pub(crate) system: Duration,
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            total: self.total.saturating_sub(before.total),
            system: self.system.saturating_sub(before.system),
        }
    }
}

impl Usage {
    /// Reads it now.
    pub(crate) fn of(pid: Pid) -> Result<Self> {
        let folder = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
        let read = |file: &str| {
            fs::read_to_string(folder.join(file))
                .with_context(|| format!("reading {file} of process {pid:?}"))
        };
        let mut cpu = cpu(&read("stat")?).context("the line in stat is not of the known form")?;
        // Coarse, but with the threads that have ended; the other way round below. Both only ever miss some.
        cpu.total = cpu.total.max(threads(&folder)?);
        let status = read("status")?;
        let memory = |key| memory(&status, key).with_context(|| format!("no {key}: the process has ended"));
        Ok(Self {
            rss: memory("VmRSS:")?,
            anonymous: memory("RssAnon:")?,
            cpu,
        })
    }
}

/// Sums the processor time of the threads that live.
fn threads(process: &Path) -> Result<Duration> {
    let tasks = fs::read_dir(process.join("task"))?.flatten();
    // A thread may end while we look.
    let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
    Ok(stats.filter_map(|stat| run_time(&stat)).sum())
}

/// The first number of `/proc/PID/task/TID/schedstat`: nanoseconds on a processor.
fn run_time(schedstat: &str) -> Option<Duration> {
    let nanoseconds = schedstat.split_ascii_whitespace().next()?;
    nanoseconds.parse().ok().map(Duration::from_nanos)
}

/// How often the threads of a process that live have gone to sleep by themselves: as often they were woken.
pub(crate) fn voluntary_switches(pid: Pid) -> Result<u64> {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()))?.flatten();
    let statuses = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    Ok(statuses.filter_map(|status| switches(&status)).sum())
}

/// The line `voluntary_ctxt_switches` of `/proc/PID/task/TID/status`.
fn switches(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

/// Allows this process and its children as many files as the system lets us.
pub(crate) fn raise_open_files() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, most).context("raising the limit of open files")
}

/// A line such as `VmRSS:    2816 kB` of `/proc/PID/status`, in bytes.
fn memory(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Fields 14 and 15 of `/proc/PID/stat`, counted from behind the name, which may hold anything.
fn cpu(stat: &str) -> Option<Cpu> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(11);
    let mut ticks = || Some(TICK * fields.next()?.parse().ok()?);
    let (user, system) = (ticks()?, ticks()?);
    Some(Cpu {
        total: user + system,
        system,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tcibad\nVmHWM:\t    9000 kB\nVmRSS:\t    2816 kB\nThreads:\t1\n";
        assert_eq!(memory(status, "VmRSS:"), Some(2816 * 1024));
        assert_eq!(memory("Name:\tzombie\nThreads:\t1\n", "VmRSS:"), None);
    }

    #[test]
    fn switches_that_a_thread_wanted_are_read() {
        let status = "Threads:\t1\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n";
        assert_eq!(switches(status), Some(150));
        assert_eq!(switches("Name:\tzombie\n"), None);
    }

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 900 0 3 0 125 17 0 0 20 0 3 0 55 1 2 3";
        let read = cpu(stat).unwrap();
        assert_eq!((read.total.as_millis(), read.system.as_millis()), (1420, 170));
        assert_eq!(cpu("7 (x) S 1"), None);
    }

    #[test]
    fn a_threads_time_is_in_nanoseconds() {
        assert_eq!(
            run_time("108933 2477533 2\n"),
            Some(Duration::from_nanos(108_933))
        );
        assert_eq!(run_time(""), None);
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let usage = Usage::of(rustix::process::getpid()).unwrap();
        assert!(usage.rss > 0 && usage.cpu.total > Duration::ZERO);
        assert_eq!((usage.cpu - usage.cpu).total, Duration::ZERO);
    }
}

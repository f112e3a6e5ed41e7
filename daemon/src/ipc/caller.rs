//! The client behind a connection: which process it is, and what the system tells of it. For the audit, and for tools that
//! show only by their conduct that a token was refused; no decision about access stands on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use interprocess::local_socket::tokio::Stream;
use interprocess::local_socket::traits::StreamCommon as _;

use crate::confirm::Asker;

/// The connections so far: each has a number.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// One connection's client.
pub(super) struct Caller {
    /// The connection's number.
    pub(super) asker: Asker,
    /// The process that connected; not every system tells.
    pub(super) pid: Option<i32>,
    executable: OnceLock<Option<String>>,
    last: Mutex<Option<Handed>>,
}

/// A token that the connection got.
#[derive(PartialEq, Eq)]
struct Handed {
    serial: u64,
    tool: String,
    host: Option<String>,
}

impl Caller {
    /// Returns the client if it is the user `uid`: asked of the kernel before a byte is read (I-002).
    pub(super) fn of_user(stream: &Stream, uid: u32) -> Option<Self> {
        let peer = stream.peer_creds().ok().filter(|peer| peer.euid() == Some(uid))?;
        Some(Self {
            asker: Asker(CONNECTIONS.fetch_add(1, Ordering::Relaxed)),
            pid: peer.pid(),
            executable: OnceLock::new(),
            last: Mutex::default(),
        })
    }

    /// Returns the path of its program, as a byte string of Rust without the quotes. It is looked up once, while the
    /// client waits for an answer.
    pub(super) fn executable(&self) -> Option<&str> {
        let known = self.executable.get_or_init(|| system::executable(self.pid?));
        known.as_deref()
    }

    /// Notes that it gets this token; returns whether that is other than the last one it got. A client that asks for one
    /// token over and over on one connection does not fill the audit.
    pub(super) fn gets(&self, serial: u64, tool: &str, host: Option<&str>) -> bool {
        // A whole entry, also after a panic.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |handed: &Handed| {
            (handed.serial, handed.tool.as_str(), handed.host.as_deref()) == (serial, tool, host)
        };
        if last.as_ref().is_some_and(is_same) {
            return false;
        }
        *last = Some(Handed {
            serial,
            tool: tool.into(),
            host: host.map(Into::into),
        });
        true
    }

    /// Returns the process that started it.
    pub(super) fn parent(&self) -> Option<i32> {
        system::parent(self.pid?)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;

    /// Bytes of a program's path: PATH_MAX.
    const MAX_PATH: usize = 4096;

    pub(super) fn executable(pid: i32) -> Option<String> {
        let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let bytes = path.as_os_str().as_bytes();
        Some(bytes[..bytes.len().min(MAX_PATH)].escape_ascii().to_string())
    }

    pub(super) fn parent(pid: i32) -> Option<i32> {
        parent_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Reads the fourth field (proc_pid_stat(5)). The second one, in parentheses, may hold anything.
    pub(super) fn parent_in(stat: &str) -> Option<i32> {
        let (_, fields) = stat.rsplit_once(')')?;
        fields.split_whitespace().nth(1)?.parse().ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn executable(_pid: i32) -> Option<String> {
        None
    }

    pub(super) fn parent(_pid: i32) -> Option<i32> {
        None
    }
}

#[cfg(test)]
mod tests {
    use interprocess::os::unix::uds_local_socket::tokio as uds;

    use super::*;

    #[tokio::test]
    async fn i_002_only_the_expected_user_is_let_in() {
        let (ours, _theirs) = tokio::net::UnixStream::pair().unwrap();
        let stream = Stream::from(uds::Stream::from(ours));
        let me = rustix::process::geteuid().as_raw();
        assert!(Caller::of_user(&stream, me).is_some());
        assert!(Caller::of_user(&stream, me + 1).is_none());
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn the_system_tells_who_calls() {
        let (ours, _theirs) = tokio::net::UnixStream::pair().unwrap();
        let stream = Stream::from(uds::Stream::from(ours));
        let me = rustix::process::geteuid().as_raw();
        let caller = Caller::of_user(&stream, me).unwrap();
        assert_eq!(caller.pid, i32::try_from(std::process::id()).ok());
        let program = std::env::current_exe().unwrap().display().to_string();
        assert_eq!(caller.executable(), Some(program.as_str()));
        let parent = rustix::process::getppid().map(rustix::process::Pid::as_raw_pid);
        assert_eq!(caller.parent(), parent);
        let next = Caller::of_user(&stream, me).unwrap();
        assert_ne!(next.asker, caller.asker);
        let gets = [
            (1, "token", None),
            (1, "token", None),
            (2, "token", None),
            (2, "git", None),
            (2, "git", Some("a")),
        ];
        let news = gets.map(|(serial, tool, host)| caller.gets(serial, tool, host));
        assert_eq!(news, [true, false, true, true, true]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_programs_name_is_no_field() {
        for (stat, parent) in [
            ("7 (git) S 42 7 7 0", Some(42)),
            ("7 (a) R 1 (b) S 42 7", Some(42)),
            ("7 (git) S", None),
            ("7 (git) S x", None),
            ("", None),
        ] {
            assert_eq!(system::parent_in(stat), parent, "{stat}");
        }
    }
}

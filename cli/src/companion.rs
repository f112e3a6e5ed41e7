//! A process that stands beside another one. It keeps that one's token file current (`ciba exec --refresh-file`), and
//! removes what was made for it when it has ended, by whatever signal.
//!
//! A process of its own, and not a thread: so the program that a person runs takes the place of `ciba`, and signals, job
//! control and the exit status are its own. Nor is it a child of that program, which would find a child that it does not
//! know.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ipc_proto::{Op, ProfileName, Token};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::{ask, clock, token_file};

/// The name that this program goes by when it is a companion.
const NAME: &str = "ciba-companion";

/// The argument of the companion itself. Without it the process only starts the companion, so that it is no child of
/// the program.
const DETACHED: &str = "detached";

/// The tool whose token is kept, as the audit names it.
pub(crate) const EXEC: &str = "exec";

/// Bytes of the orders.
const MAX_ORDERS: u64 = 64 * 1024;

/// How long the daemon may take: it may have to ask the server for a new token.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest sleep. The machine may sleep as well, and a timer of Linux does not count that.
const LONGEST: Duration = Duration::from_secs(60);

/// The shortest time between two questions, in seconds, and the shortest after a question that failed.
const SOON: u64 = 1;
const AGAIN: u64 = 10;

/// What a companion does. It is read from its standard input: arguments are for everybody to see.
#[derive(Serialize, Deserialize)]
pub(crate) struct Orders {
    /// The process that it stands beside.
    pub(crate) pid: i32,
    /// The file or socket that is removed at that process's end.
    pub(crate) path: PathBuf,
    /// The token that the file holds.
    pub(crate) token: Option<Kept>,
}

/// A token that is kept current.
#[derive(Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Which login it comes from.
    pub(crate) profile: Option<ProfileName>,
    /// Its resource.
    pub(crate) resource: Option<String>,
    /// When it ends, Unix seconds.
    pub(crate) expires_at: u64,
}

/// Starts a companion of this process, and returns when it watches.
pub(crate) fn start(path: &Path, token: Option<Kept>) -> Result<(), Error> {
    let orders = Orders {
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        path: path.into(),
        token,
    };
    let orders =
        serde_json::to_vec(&orders).map_err(|_| Error::usage("the file's path is not valid UTF-8"))?;
    match hand_over(&orders) {
        Ok(true) => Ok(()),
        Ok(false) => Err(not_started("it ended at once")),
        Err(error) => Err(not_started(&error.to_string())),
    }
}

fn hand_over(orders: &[u8]) -> io::Result<bool> {
    let mut starter = this_program()?.stdin(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = starter.stdin.take() {
        stdin.write_all(orders)?;
    }
    Ok(starter.wait()?.success())
}

fn this_program() -> io::Result<Command> {
    let mut program = Command::new(std::env::current_exe()?);
    program.arg0(NAME).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(program)
}

fn not_started(reason: &str) -> Error {
    Error::internal(format!("the process that clears up cannot be started: {reason}"))
}

/// Whether this process was started as a companion.
pub(crate) fn is_meant() -> bool {
    std::env::args_os().next().is_some_and(|name| name == NAME)
}

/// Runs as a companion, or starts it. The exit status is all that is told.
pub(crate) fn run() -> Result<(), Error> {
    let is_detached = std::env::args_os().nth(1).is_some_and(|word| word == DETACHED);
    let done = if is_detached { stand_by() } else { detach() };
    done.map_err(|error| not_started(&error.to_string()))
}

/// Starts the companion with the same standard input, and waits for its word.
fn detach() -> io::Result<()> {
    let mut companion = this_program()?
        .arg(DETACHED)
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut ready = companion.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    ready.read_exact(&mut [0])
}

fn stand_by() -> io::Result<()> {
    // Out of the terminal's reach: what it sends to the program is not for the companion.
    rustix::process::setsid()?;
    std::env::set_current_dir("/")?;
    let mut orders = Vec::new();
    io::stdin().take(MAX_ORDERS).read_to_end(&mut orders)?;
    let mut orders: Orders = serde_json::from_slice(&orders)?;
    let watched = Watched::open(orders.pid)?;
    let made = Made::at(&orders.path)?;
    io::stdout().write_all(b"\n")?;
    orders.keep_until_end_of(&watched);
    match orders.token {
        // Its name is the program's alone, which may have changed the file.
        Some(_) => remove(&orders.path),
        None => made.remove(&orders.path),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The very socket that was made. A `ciba forward` that is started again may make its own in the same place before this
/// process has seen the end of the one before.
#[derive(PartialEq, Eq)]
struct Made {
    device: u64,
    inode: u64,
    /// When it was made, seconds and nanoseconds: the next one may get the same inode.
    changed: (i64, i64),
}

impl Made {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match Self::at(path) {
            Ok(there) if there == *self => remove(path),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Orders {
    fn keep_until_end_of(&mut self, watched: &Watched) {
        let mut due = self.token.as_ref().map(|token| after(token.expires_at, SOON));
        loop {
            let now = clock::now();
            match (due, &mut self.token) {
                (Some(at), Some(token)) if at <= now => due = Some(token.renew(&self.path)),
                _ => {
                    let wait = due.map_or(LONGEST, |at| Duration::from_secs(at - now).min(LONGEST));
                    if watched.ends_within(wait) {
                        return;
                    }
                }
            }
        }
    }
}

impl Kept {
    /// Asks for a token and writes it down. Returns when to do so again.
    fn renew(&mut self, path: &Path) -> u64 {
        let op = Op::Token {
            profile: self.profile.clone(),
            resource: self.resource.clone(),
            min_valid: None,
            force: false,
            tool: Some(EXEC.into()),
        };
        let asked: Result<Token, Error> =
            ask::whoever_serves(op, |connection, op| connection.ask(op, PATIENCE));
        let Ok(token) = asked else {
            return after(self.expires_at, AGAIN);
        };
        if token_file::replace(path, token.access_token.expose()).is_err() {
            return after(self.expires_at, AGAIN);
        }
        self.expires_at = token.expires_at;
        after(self.expires_at, SOON)
    }
}

fn after(expires_at: u64, at_least: u64) -> u64 {
    let now = clock::now();
    now + wait(expires_at.saturating_sub(now), at_least)
}

/// Returns after how many seconds a token is asked for that has `left` seconds. The daemon renews a token that is asked
/// for after four fifths of its life: the first question begins that, and the next one gets the new token.
fn wait(left: u64, at_least: u64) -> u64 {
    (left / 5 * 4).max(at_least)
}

/// A process, and not the next one with its number.
#[cfg(target_os = "linux")]
struct Watched(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Watched {
    fn open(pid: i32) -> io::Result<Self> {
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self(rustix::process::pidfd_open(
            pid,
            rustix::process::PidfdFlags::empty(),
        )?))
    }

    /// Waits for its end. Returns whether it has ended.
    fn ends_within(&self, time: Duration) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};

        let time = Timespec::try_from(time).ok();
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], time.as_ref()).is_ok_and(|ready| ready > 0)
    }
}

/// Looks from time to time, where no safe call waits for a process that is no child.
#[cfg(not(target_os = "linux"))]
struct Watched(Pid);

#[cfg(not(target_os = "linux"))]
impl Watched {
    fn open(pid: i32) -> io::Result<Self> {
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        rustix::process::test_kill_process(pid)?;
        Ok(Self(pid))
    }

    fn ends_within(&self, time: Duration) -> bool {
        /// Time between two looks.
        const GLANCE: Duration = Duration::from_secs(1);
        // A signal ends the wait early, which does no harm.
        let _ = rustix::event::poll(
            &mut [],
            rustix::event::Timespec::try_from(time.min(GLANCE)).ok().as_ref(),
        );
        rustix::process::test_kill_process(self.0).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_at_four_fifths_of_what_is_left_and_never_at_once() {
        assert_eq!(wait(300, SOON), 240);
        assert_eq!(wait(60, SOON), 48);
        assert_eq!(wait(0, SOON), SOON);
        assert_eq!(wait(0, AGAIN), AGAIN);
    }

    #[test]
    fn what_another_process_has_made_in_the_same_place_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        fs::write(&path, "mine").unwrap();
        let mine = Made::at(&path).unwrap();
        let other = directory.path().join("other");
        fs::write(&other, "another's").unwrap();
        fs::rename(&other, &path).unwrap();
        mine.remove(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "another's");
        Made::at(&path).unwrap().remove(&path).unwrap();
        assert!(!path.exists());
        mine.remove(&path).unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_has_ended_is_told_from_one_that_goes_on() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let watched = Watched::open(child.id().cast_signed()).unwrap();
        assert!(!watched.ends_within(Duration::from_millis(10)));
        child.kill().unwrap();
        assert!(watched.ends_within(Duration::from_secs(60)));
        child.wait().unwrap();
    }
}

//! Where the socket lives and when its directory may be trusted (I-001): one rule for both sides.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// The permissions of the socket's directory: for its owner alone.
const PRIVATE: u32 = 0o700;

/// Returns the path of the daemon's socket.
///
/// `variable` reads the environment and `is_dir` looks at the file system, so that the rule itself can be
/// tested: `CIBA_SOCKET`, else `$XDG_RUNTIME_DIR/ciba`, else `/run/user/UID/ciba` where a login session has
/// made `/run/user/UID`, else `/tmp/ciba-UID` (cron, `su`, containers). macOS: `$TMPDIR/ciba-UID`.
///
/// # Errors
///
/// [`NotAbsolute`]: the two programs may run in different directories, and would look in different places.
pub fn socket_path(
    uid: u32,
    variable: impl Fn(&str) -> Option<OsString>,
    is_dir: impl Fn(&Path) -> bool,
) -> Result<PathBuf, NotAbsolute> {
    let set = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let path = set("CIBA_SOCKET").unwrap_or_else(|| directory(uid, set, is_dir).join("agent.sock"));
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(NotAbsolute(path))
    }
}

/// The environment names a relative path for the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAbsolute(PathBuf);

impl fmt::Display for NotAbsolute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.display();
        write!(f, "{path} is not an absolute path; CIBA_SOCKET needs one")
    }
}

impl std::error::Error for NotAbsolute {}

fn directory(uid: u32, set: impl Fn(&str) -> Option<PathBuf>, is_dir: impl Fn(&Path) -> bool) -> PathBuf {
    if cfg!(target_os = "macos") {
        return set("TMPDIR")
            .unwrap_or_else(|| "/tmp".into())
            .join(format!("ciba-{uid}"));
    }
    if let Some(runtime) = set("XDG_RUNTIME_DIR") {
        return runtime.join("ciba");
    }
    let session = PathBuf::from(format!("/run/user/{uid}"));
    if is_dir(&session) {
        session.join("ciba")
    } else {
        PathBuf::from(format!("/tmp/ciba-{uid}"))
    }
}

/// What a side saw of the socket's directory, without following a symbolic link.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryFacts {
    /// It is a directory, and no link to one.
    pub is_dir: bool,
    /// The uid that owns it.
    pub owner: u32,
    /// Its mode; only the permission bits count.
    pub mode: u32,
}

/// Decides whether a socket in this directory may be trusted by the user `uid`.
///
/// # Errors
///
/// What is wrong with it. Neither side goes on: another user could have planted the socket.
pub fn check_directory(facts: DirectoryFacts, uid: u32) -> Result<(), DirectoryProblem> {
    if !facts.is_dir {
        Err(DirectoryProblem::NotADirectory)
    } else if facts.owner != uid {
        Err(DirectoryProblem::OtherOwner)
    } else if facts.mode & 0o777 != PRIVATE {
        Err(DirectoryProblem::Open)
    } else {
        Ok(())
    }
}

/// Why the socket's directory is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryProblem {
    /// It is a file or a symbolic link.
    NotADirectory,
    /// It belongs to another user.
    OtherOwner,
    /// Its mode is not 0700.
    Open,
}

impl fmt::Display for DirectoryProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotADirectory => "is not a directory of its own (a file or a symbolic link)",
            Self::OtherOwner => "belongs to another user",
            Self::Open => "is open to others; its mode must be 0700",
        })
    }
}

impl std::error::Error for DirectoryProblem {}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(variables: &[(&str, &str)], session_exists: bool) -> String {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| OsString::from(v))
        };
        socket_path(1000, variable, |_| session_exists)
            .unwrap()
            .display()
            .to_string()
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn i_001_the_socket_is_where_the_table_says() {
        assert_eq!(
            path(&[("CIBA_SOCKET", "/x/s"), ("XDG_RUNTIME_DIR", "/r")], true),
            "/x/s"
        );
        assert_eq!(
            path(&[("CIBA_SOCKET", ""), ("XDG_RUNTIME_DIR", "/r")], true),
            "/r/ciba/agent.sock"
        );
        assert_eq!(path(&[], true), "/run/user/1000/ciba/agent.sock");
        assert_eq!(
            path(&[("XDG_RUNTIME_DIR", "")], false),
            "/tmp/ciba-1000/agent.sock"
        );
    }

    #[test]
    fn i_001_a_relative_path_is_refused() {
        let variable = |name: &str| (name == "CIBA_SOCKET").then(|| "x/s".into());
        let problem = socket_path(1000, variable, |_| true).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "x/s is not an absolute path; CIBA_SOCKET needs one"
        );
    }

    #[test]
    fn i_001_only_a_private_directory_of_ones_own_is_trusted() {
        let good = DirectoryFacts {
            is_dir: true,
            owner: 1000,
            mode: 0o40700,
        };
        assert_eq!(check_directory(good, 1000), Ok(()));
        let cases = [
            (
                DirectoryFacts {
                    is_dir: false,
                    ..good
                },
                DirectoryProblem::NotADirectory,
            ),
            (DirectoryFacts { owner: 0, ..good }, DirectoryProblem::OtherOwner),
            (
                DirectoryFacts {
                    mode: 0o40750,
                    ..good
                },
                DirectoryProblem::Open,
            ),
            (
                DirectoryFacts {
                    mode: 0o40777,
                    ..good
                },
                DirectoryProblem::Open,
            ),
        ];
        for (facts, problem) in cases {
            assert_eq!(check_directory(facts, 1000), Err(problem));
        }
    }
}

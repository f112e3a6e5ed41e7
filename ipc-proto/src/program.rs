//! By which name a program was started. Package managers install the next version by switching a link; the system
//! tells a program only the file behind the link.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Returns the path that `name`, a program's first argument, stands for: itself when it is a path, else what `PATH`
/// has by that name. The first argument can be anything, so a path counts only if `is_it` says that it is the program.
pub fn started_as(name: &OsStr, path: &OsStr, is_it: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(name)).filter(|named| is_it(named));
    }
    std::env::split_paths(path)
        .map(|directory| directory.join(name))
        .find(|candidate| is_it(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, it: &str) -> Option<PathBuf> {
        started_as(name.as_ref(), "/a:/b".as_ref(), |path| path == Path::new(it))
    }

    #[test]
    fn a_name_is_looked_for_where_the_shell_looks() {
        assert_eq!(found("cibad", "/b/cibad"), Some("/b/cibad".into()));
        assert_eq!(found("./cibad", "./cibad"), Some("./cibad".into()));
        assert_eq!(found("/c/cibad", "/c/cibad"), Some("/c/cibad".into()));
    }

    #[test]
    fn a_name_that_lies_is_nothing() {
        assert_eq!(found("ssh", "/b/cibad"), None);
        assert_eq!(found("/a/cibad", "/b/cibad"), None);
        assert_eq!(found("", "/b/cibad"), None);
    }
}

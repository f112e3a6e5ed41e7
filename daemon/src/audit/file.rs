//! The audit's file and the one before it: appended to, and begun anew when it is full.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tracing::warn;

/// Bytes after which a new file is begun.
const MAX_FILE: u64 = 1024 * 1024;

/// What stands behind the name of the file before.
const BEFORE: &str = "jsonl.1";

/// Where lines are appended.
pub(super) struct AuditFile {
    path: PathBuf,
    /// Whether the last lines could not be written, which the log says once.
    is_failing: bool,
}

impl AuditFile {
    pub(super) fn at(path: PathBuf) -> Self {
        Self {
            path,
            is_failing: false,
        }
    }

    /// Appends whole lines, or none of them; returns whether they are written.
    pub(super) fn append(&mut self, lines: &[u8]) -> bool {
        if lines.is_empty() {
            return true;
        }
        let written = append(&self.path, lines);
        if let (Err(error), false) = (&written, self.is_failing) {
            warn!(cause = %error.kind(), "the audit cannot be written");
        }
        self.is_failing = written.is_err();
        written.is_ok()
    }
}

/// Opens the file each time: a person may have moved it away, and another daemon may have begun a new one.
fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = open(path)?;
    let mut length = file.metadata()?.len();
    if length > 0 && length + lines.len() as u64 > MAX_FILE {
        std::fs::rename(path, path.with_extension(BEFORE))?;
        file = open(path)?;
        length = 0;
    }
    let written = file.write_all(lines);
    if written.is_err() {
        // A full disk may have taken half a line.
        file.set_len(length)?;
    }
    written
}

fn open(path: &Path) -> io::Result<File> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // Another place is nobody's choice, and opening a pipe would wait.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_full_file_makes_way_and_one_before_it_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("audit.jsonl");
        let before = home.path().join("audit.jsonl.1");
        let line = |letter: &str| format!("{}\n", letter.repeat(MAX_FILE as usize / 2 - 1));
        let mut file = AuditFile::at(path.clone());
        for letter in ["a", "b", "c", "d", "e"] {
            file.append(line(letter).as_bytes());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), line("e"));
        assert_eq!(
            fs::read_to_string(&before).unwrap(),
            format!("{}{}", line("c"), line("d"))
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(&path).unwrap();
        file.append(b"f\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "f\n", "it was moved away");
    }

    #[test]
    fn what_cannot_be_written_is_given_up_and_tried_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("audit.jsonl");
        let mut file = AuditFile::at(path.clone());
        symlink(home.path().join("elsewhere"), &path).unwrap();
        file.append(b"a\n");
        assert!(file.is_failing, "a link is not followed");
        fs::remove_file(&path).unwrap();
        file.append(b"b\n");
        assert!(!file.is_failing);
        assert_eq!(fs::read_to_string(&path).unwrap(), "b\n");
        assert!(!home.path().join("elsewhere").exists());
    }
}

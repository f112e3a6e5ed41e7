//! Where the database lies: whether the path still leads to the file that is open, and who else may read it.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;

/// The files of one database, by what follows its name.
const FILES: [&str; 3] = ["", "-wal", "-shm"];

/// What SQLite reads beside a database, though it may be another's: a new one takes it for its own.
const REPLAYED: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A path, and the file that it led to when the database was opened.
pub(super) struct Place {
    path: PathBuf,
    file: (u64, u64),
}

impl Place {
    /// Remembers which file a path leads to.
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        let file = fs::metadata(path).map_err(|error| Error::Location(Arc::new(error)))?;
        Ok(Self {
            path: path.to_owned(),
            file: identity(&file),
        })
    }

    /// Checks that the path still leads there. What is written to a file that has no name any more, or another's, is
    /// lost as soon as it is closed, and SQLite does not mind.
    pub(super) fn check(&self) -> Result<(), Error> {
        match fs::metadata(&self.path) {
            Ok(file) if identity(&file) == self.file => Ok(()),
            Ok(_) => Err(Error::Replaced),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Replaced),
            Err(error) => Err(Error::Unavailable(Arc::new(error))),
        }
    }
}

/// Device and inode.
fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Returns what is left of a database whose file is gone: the paths, for people.
pub(super) fn left_over(path: &Path) -> Result<Option<String>, Error> {
    let mut names = Vec::new();
    for name in REPLAYED.map(|suffix| beside(path, suffix)) {
        match fs::symlink_metadata(&name) {
            Ok(_) => names.push(name.display().to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::Location(Arc::new(error))),
        }
    }
    Ok((!names.is_empty()).then(|| names.join(", ")))
}

/// Takes from others what they may do with the database, a restored backup say.
pub(super) fn close_to_others(path: &Path) -> Result<(), Error> {
    for suffix in FILES {
        let closed = close_file_to_others(&beside(path, suffix));
        closed.map_err(|error| Error::Location(Arc::new(error)))?;
    }
    Ok(())
}

fn close_file_to_others(path: &Path) -> io::Result<()> {
    let mode = match fs::metadata(path) {
        Ok(file) if file.is_file() => file.mode(),
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & 0o700))?;
    tracing::warn!(path = %path.display(), mode = format!("{:o}", mode & 0o777), "the store's file was open to others; no more");
    Ok(())
}

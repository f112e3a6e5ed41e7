//! Where the database lies: whether the path still leads to the file that is open, and that no other user may read it.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;

/// What an open database has beside it, by what follows its name.
const LOG: [&str; 2] = ["-wal", "-shm"];

/// What SQLite reads beside a database, even beside a new one that these files do not belong to.
const REPLAYED: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Device and inode.
type Identity = (u64, u64);

/// The files of an open database: where each lies, and which one lay there when it was opened.
pub(super) struct Place {
    /// Without links: what is beside the database is so under this name.
    real: PathBuf,
    files: Vec<(PathBuf, Identity)>,
}

impl Place {
    /// Remembers which file a path leads to, before it is opened.
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        let file = fs::metadata(path).map_err(location)?;
        Ok(Self {
            real: fs::canonicalize(path).map_err(location)?,
            files: vec![(path.to_owned(), identity(&file))],
        })
    }

    /// Where the lock is. Not the database itself: closing a second handle to it would drop SQLite's own locks.
    pub(super) fn lock(&self) -> PathBuf {
        beside(&self.real, ".lock")
    }

    /// Remembers the log and its index as well, where what was acknowledged may be alone. They are there, and stay
    /// the same, from when a connection has read until the last one is closed.
    pub(super) fn with_log(mut self) -> Result<Self, Error> {
        for name in LOG.map(|suffix| beside(&self.real, suffix)) {
            let file = fs::metadata(&name).map_err(gone)?;
            self.files.push((name, identity(&file)));
        }
        self.check()?;
        Ok(self)
    }

    /// Checks that the paths still lead to these files. What is written to a file that has lost its name is gone as soon as
    /// the file is closed, and SQLite does not notice.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.files.iter().try_for_each(|(path, opened)| {
            let file = fs::metadata(path).map_err(gone)?;
            (identity(&file) == *opened).then_some(()).ok_or(Error::Replaced)
        })
    }

    /// Takes from other users every right to the files of the database. A restored backup may have been open to them.
    pub(super) fn close_to_others(&self) -> Result<(), Error> {
        let files = ["", "-wal", "-shm"].map(|suffix| beside(&self.real, suffix));
        let mut closed = files.iter().map(|file| close_file_to_others(file));
        closed.try_for_each(|closed| closed.map_err(location))
    }
}

/// What it means that a file of ours cannot be looked at.
fn gone(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::Replaced,
        _ => Error::Unavailable(Arc::new(error)),
    }
}

fn identity(file: &Metadata) -> Identity {
    (file.dev(), file.ino())
}

pub(super) fn location(error: io::Error) -> Error {
    Error::Location(Arc::new(error))
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
            Err(error) => return Err(location(error)),
        }
    }
    Ok((!names.is_empty()).then(|| names.join(", ")))
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

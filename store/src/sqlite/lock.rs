//! One server a database. The kernel keeps the lock, on a file beside the database: it ends with the process, however
//! the process ends. The file stays.

use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::place::location;
use crate::Error;

/// The only handle to the lock; dropping it opens the way for the next server.
pub(super) struct Lock(#[expect(dead_code, reason = "held, not used")] File);

impl Lock {
    /// Takes the lock, or says that another has it.
    pub(super) fn take(path: &Path) -> Result<Self, Error> {
        let mut how = File::options();
        let file = how
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path);
        let file = file.map_err(location)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Error::InUse),
            Err(TryLockError::Error(error)) => Err(location(error)),
        }
    }
}

//! From a URL in the configuration to a store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::memory::Memory;
use crate::sqlite::Sqlite;
use crate::{Error, Store};

/// What to do when there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It is an error: a server that had a store must not go on with an empty one.
    Existing,
    /// The same; and no other process may open the store in this mode meanwhile, though in the other modes it may. For a
    /// server: two that renew the same login spend one refresh token twice, and the provider then takes back both.
    Alone,
    /// One is made.
    Create,
}

/// Opens the store named by `url`: `memory:` or `sqlite:PATH`, a path as the system understands it.
///
/// `memory:` is for tests and trials; it begins empty, whatever the mode. Opening may touch the disk: call it
/// while starting up. Whether the engine answers is what [`Store::ping`] tells.
pub fn open(url: &str, mode: OpenMode) -> Result<Arc<dyn Store>, Error> {
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(Memory::default())),
        Some(("sqlite", path)) if is_path(path) => Ok(Arc::new(Sqlite::open(Path::new(path), mode)?)),
        _ => Err(Error::UnknownUrl),
    }
}

/// Returns where the store named by `url` is, for people: a file's whole path. A URL may hold a password, so nothing else
/// of it is shown.
pub fn place(url: &str) -> String {
    match url.split_once(':') {
        Some(("memory", "")) => url.to_owned(),
        Some(("sqlite", path)) if is_path(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
            path.display().to_string()
        }
        _ => "the store".into(),
    }
}

/// Returns the folder of the store named by `url`; `None`: it has no files.
pub fn folder(url: &str) -> Option<PathBuf> {
    let (_, path) = url.split_once(':').filter(|(engine, _)| *engine == "sqlite")?;
    Path::new(path).parent().map(Path::to_owned)
}

/// `sqlite://ciba.db` looks like a file here and would be one in the root directory: no.
fn is_path(path: &str) -> bool {
    !path.is_empty() && !path.starts_with("//")
}

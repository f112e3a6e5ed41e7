//! From a URL in the configuration to a store.

use std::path::Path;
use std::sync::Arc;

use crate::memory::Memory;
use crate::sqlite::Sqlite;
use crate::{Error, Store};

/// What to do when there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It is an error: whoever knows that there was a store must not go on with an empty one.
    Existing,
    /// The same, and alone: nobody else may open it so meanwhile, in the other modes they may. For a server: two that
    /// renew the same login spend one refresh token twice, and the provider then takes back both.
    Alone,
    /// Make one.
    Create,
}

/// Opens the store named by `url`: `memory:` or `sqlite:PATH`, a path as the system understands it.
///
/// `memory:` is for tests and trials; it begins empty, in either mode. Opening may touch the disk: call it
/// while starting up. Whether the engine answers is what [`Store::ping`] tells.
pub fn open(url: &str, mode: OpenMode) -> Result<Arc<dyn Store>, Error> {
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(Memory::default())),
        Some(("sqlite", path)) if is_path(path) => Ok(Arc::new(Sqlite::open(Path::new(path), mode)?)),
        _ => Err(Error::UnknownUrl),
    }
}

/// `sqlite://ciba.db` looks like a file here and would be one in the root directory: no.
fn is_path(path: &str) -> bool {
    !path.is_empty() && !path.starts_with("//")
}

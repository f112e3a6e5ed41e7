//! The contract of the store: `operations` and `races` hold for every engine, the rest for what only files can do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod files;
mod killed;
mod operations;
mod races;

use std::sync::Arc;

use store::{Key, OpenMode, Space, Store, UnixSeconds, open};
use tempfile::TempDir;

/// When the tests take place: 2100-01-01. An engine that removes records by a clock of its own must not do so meanwhile.
const NOW: UnixSeconds = UnixSeconds::new(4_102_444_800);
/// When what they write ends, unless that is what they test.
const LATER: UnixSeconds = NOW.plus(60);

fn session(id: &str) -> Key<'_> {
    Key {
        space: Space::Session,
        id,
    }
}

fn login(id: &str) -> Key<'_> {
    Key {
        space: Space::Login,
        id,
    }
}

/// A new, empty store, and the folder it needs to go on.
struct Fresh {
    store: Arc<dyn Store>,
    _folder: TempDir,
}

impl Fresh {
    fn memory() -> Self {
        Self {
            store: open("memory:", OpenMode::Create).unwrap(),
            _folder: tempfile::tempdir().unwrap(),
        }
    }

    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&sqlite_url(&folder), OpenMode::Create).unwrap();
        Self {
            store,
            _folder: folder,
        }
    }
}

fn sqlite_url(folder: &TempDir) -> String {
    format!("sqlite:{}/ciba.db", folder.path().to_str().unwrap())
}

/// Makes each clause, an `async fn(Arc<dyn Store>)`, a test of every engine.
macro_rules! contract {
    ($($clause:ident)*) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $clause() {
                let fresh = crate::Fresh::memory();
                super::$clause(fresh.store.clone()).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $clause() {
                let fresh = crate::Fresh::sqlite();
                super::$clause(fresh.store.clone()).await;
            })*
        }
    };
}
use contract;

//! From a path to a connection: the file and its mode, whose database it is, and the tables in it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::fault::fault;
use super::place::{left_over, location};
use crate::{Error, OpenMode};

/// How long a connection waits for another process, an administrator's say, to finish its change.
const WRITER_PATIENCE: Duration = Duration::from_secs(2);
/// In WAL mode a reader waits only for recovery and the like. It does so on a caller's thread.
const READER_PATIENCE: Duration = Duration::from_millis(100);

/// Marks a database as ours: "ciba" in ASCII.
const APPLICATION_ID: i32 = 0x6369_6261;
/// The number of the tables below. A new one comes with the step that leads there from its predecessor.
const SCHEMA: i64 = 1;
/// An index entry of a table without rowids carries the primary key, so sweeps and counts read the index alone.
const TABLES: &str = "
    CREATE TABLE record (
        space TEXT NOT NULL,
        id TEXT NOT NULL,
        value BLOB NOT NULL,
        version INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (space, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX record_expires ON record (expires);
";

/// Finds the database at an absolute path, after making it if `mode` says so.
pub(super) fn find(path: &Path, mode: OpenMode) -> Result<(), Error> {
    match (path.try_exists().map_err(location)?, mode) {
        (true, _) => Ok(()),
        (false, OpenMode::Create) => create(path),
        (false, OpenMode::Existing | OpenMode::Alone) => Err(Error::Missing),
    }
}

/// Opens a database for writing. `first` runs before anything is changed, and only if the database is one of ours:
/// another program's stays as it is.
pub(super) fn open(path: &Path, first: impl FnOnce() -> Result<(), Error>) -> Result<Connection, Error> {
    let db = connect(path, WRITER_PATIENCE)?;
    recognize(&db)?;
    first()?;
    configure(&db).map_err(fault)?;
    Ok(db)
}

/// Opens a second connection, and reads: from then on both files of the log are there.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let db = connect(path, READER_PATIENCE)?;
    db.pragma_update(None, "query_only", true).map_err(fault)?;
    recognize(&db)?;
    Ok(db)
}

/// Makes the database under another name and gives it the right one when it is whole, unless another process was
/// faster. So a file that is there is never half a store, and an empty one is never ours.
///
/// `tempfile` gives it mode 0600, which SQLite copies to `-wal` and `-shm`.
fn create(path: &Path) -> Result<(), Error> {
    // A process that was faster has files beside its database as well, but made them after it.
    if let Some(names) = left_over(path)?
        && !path.try_exists().map_err(location)?
    {
        return Err(Error::LeftOver { names });
    }
    let folder = path.parent().unwrap_or(path);
    let draft = tempfile::Builder::new()
        .prefix(".ciba-")
        .suffix(".new")
        .tempfile_in(folder);
    let draft = draft.map_err(location)?.into_temp_path();
    fill(connect(&draft, WRITER_PATIENCE)?).map_err(fault)?;
    match draft.persist_noclobber(path) {
        Err(refused) if refused.error.kind() != io::ErrorKind::AlreadyExists => Err(location(refused.error)),
        // Without this a power cut may take the name away, and with it what was acknowledged.
        _ => File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(location),
    }
}

fn fill(db: Connection) -> rusqlite::Result<()> {
    configure(&db)?;
    db.execute_batch(TABLES)?;
    db.pragma_update(None, "application_id", APPLICATION_ID)?;
    db.pragma_update(None, "user_version", SCHEMA)?;
    db.close().map_err(|(_, error)| error)
}

/// Only SQLite may open a database: closing any other handle would drop the locks of this whole process.
fn connect(path: &Path, patience: Duration) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|error| Error::Location(Arc::new(error)))?;
    db.busy_timeout(patience).map_err(fault)?;
    Ok(db)
}

/// Accepts our own database at the schema we know. It only reads: another's stays as it is.
fn recognize(db: &Connection) -> Result<(), Error> {
    let read = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
                FROM pragma_application_id, pragma_user_version";
    let read = db.query_row(read, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    match read.map_err(fault)? {
        (APPLICATION_ID, SCHEMA, _) => Ok(()),
        (APPLICATION_ID, found, _) if found > SCHEMA => Err(Error::SchemaNewer { found, known: SCHEMA }),
        (0, 0, 0) => Err(Error::Corrupt(Arc::new(io::Error::other(
            "the database is empty",
        )))),
        _ => Err(Error::Foreign),
    }
}

fn configure(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    // Only macOS knows the difference: there, fsync alone does not reach the disk.
    db.pragma_update(None, "fullfsync", true)?;
    db.pragma_update(None, "checkpoint_fullfsync", true)
}

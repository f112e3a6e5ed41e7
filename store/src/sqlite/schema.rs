//! From a path to a connection: the file and its mode, whose database it is, and the tables in it.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::fault::fault;
use crate::{Error, OpenMode};

/// How long a connection waits for another process, an administrator's say, to finish its change.
const WRITER_PATIENCE: Duration = Duration::from_secs(2);
/// Readers wait for nobody in WAL mode, but for recovery and the like. They do so on a caller's thread.
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

/// Opens the database for writing, after making it if `mode` says so.
pub(super) fn open(path: &Path, mode: OpenMode) -> Result<Connection, Error> {
    open_file(path, mode)?;
    let mut db = connect(path, WRITER_PATIENCE)?;
    let state = State::of(&db)?;
    if state == State::Empty && mode == OpenMode::Existing {
        return Err(Error::Missing);
    }
    configure(&db).map_err(fault)?;
    if state == State::Empty {
        create_tables(&mut db)?;
    }
    Ok(db)
}

/// Opens a second connection to a database that [`open`] has accepted.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let db = connect(path, READER_PATIENCE)?;
    db.pragma_update(None, "query_only", true).map_err(fault)?;
    Ok(db)
}

/// Makes the file before SQLite does: mode 0600 from its first moment, which SQLite copies to `-wal` and `-shm`.
fn open_file(path: &Path, mode: OpenMode) -> Result<(), Error> {
    let create = mode == OpenMode::Create;
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .mode(0o600)
        .open(path);
    match opened {
        Ok(_) => Ok(()),
        Err(error) if !create && error.kind() == io::ErrorKind::NotFound => Err(Error::Missing),
        Err(error) => Err(Error::Location(Arc::new(error))),
    }
}

/// An absolute path means a file, whatever it is called; SQLite reads more into a bare `:memory:`.
fn connect(path: &Path, patience: Duration) -> Result<Connection, Error> {
    let path = std::path::absolute(path).map_err(|error| Error::Location(Arc::new(error)))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|error| Error::Location(Arc::new(error)))?;
    db.busy_timeout(patience).map_err(fault)?;
    Ok(db)
}

#[derive(PartialEq, Eq)]
enum State {
    Empty,
    Current,
}

impl State {
    /// Reads only: a database that is not ours stays as it is.
    fn of(db: &Connection) -> Result<Self, Error> {
        let read = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
                    FROM pragma_application_id, pragma_user_version";
        let read = db.query_row(read, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        match read.map_err(fault)? {
            (0, 0, 0) => Ok(Self::Empty),
            (APPLICATION_ID, SCHEMA, _) => Ok(Self::Current),
            (APPLICATION_ID, found, _) if found > SCHEMA => Err(Error::SchemaNewer { found, known: SCHEMA }),
            _ => Err(Error::Foreign),
        }
    }
}

fn configure(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    // Only macOS knows the difference: there, fsync alone does not reach the disk.
    db.pragma_update(None, "fullfsync", true)?;
    db.pragma_update(None, "checkpoint_fullfsync", true)
}

/// Another process may have been faster: the answer that counts is the one under the write lock.
fn create_tables(db: &mut Connection) -> Result<(), Error> {
    let creation = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(fault)?;
    if State::of(&creation)? == State::Empty {
        creation.execute_batch(TABLES).map_err(fault)?;
        creation
            .pragma_update(None, "application_id", APPLICATION_ID)
            .map_err(fault)?;
        creation
            .pragma_update(None, "user_version", SCHEMA)
            .map_err(fault)?;
    }
    creation.commit().map_err(fault)
}

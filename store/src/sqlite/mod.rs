//! `sqlite:PATH`, the default: one file beside the server, which administrators may read while the server runs.
//! Changes go to the [`writer`] thread; a `get` is answered on the spot from a connection of its own.

mod fault;
mod lock;
mod place;
mod schema;
mod statements;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use self::fault::fault;
use self::lock::Lock;
use self::place::{Place, location};
use self::writer::Writer;
use crate::{Answer, Error, Key, OpenMode, Put, Record, Space, Store, Swap, UnixSeconds, Version};

/// A database file. Dropping it waits until what was handed to the writer is on disk.
pub(crate) struct Sqlite {
    writer: Writer,
    place: Arc<Place>,
    /// A look-up by primary key takes microseconds, less than handing it to another thread would.
    reader: Mutex<Connection>,
    /// The last to be dropped.
    _lock: Option<Lock>,
}

impl Sqlite {
    pub(crate) fn open(path: &Path, mode: OpenMode) -> Result<Self, Error> {
        // SQLite would read more into some relative names: `:memory:` is one of its own.
        let path = std::path::absolute(path).map_err(location)?;
        schema::find(&path, mode)?;
        let place = Place::of(&path)?;
        let changes = schema::open(&path, || place.close_to_others())?;
        let alone = mode == OpenMode::Alone;
        let lock = alone.then(|| Lock::take(&place.lock())).transpose()?;
        let reader = schema::open_reader(&path)?;
        let place = Arc::new(place.with_log()?);
        let written = Arc::clone(&place);
        Ok(Self {
            writer: Writer::start(changes, move || written.check())?,
            place,
            reader: Mutex::new(reader),
            _lock: lock,
        })
    }

    fn read(&self, key: Key<'_>, now: UnixSeconds) -> Result<Option<Record>, Error> {
        self.place.check()?;
        // Reading leaves nothing half-done behind, so behind a poisoned lock the connection is as good as before.
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        statements::get(&reader, key, now).map_err(fault)
    }
}

impl Store for Sqlite {
    fn put_if_absent<'a>(
        &'a self,
        key: Key<'a>,
        value: Vec<u8>,
        expires: UnixSeconds,
        now: UnixSeconds,
    ) -> Answer<'a, Put> {
        Box::pin(async move {
            key.admit(&value)?;
            let (space, id) = (key.space, key.id.to_owned());
            self.writer
                .run(move |db| statements::put_if_absent(db, Key { space, id: &id }, &value, expires, now))
                .await
        })
    }

    fn get<'a>(&'a self, key: Key<'a>, now: UnixSeconds) -> Answer<'a, Option<Record>> {
        Box::pin(async move { self.read(key, now) })
    }

    fn take<'a>(&'a self, key: Key<'a>, now: UnixSeconds) -> Answer<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let (space, id) = (key.space, key.id.to_owned());
            self.writer
                .run(move |db| statements::take(db, Key { space, id: &id }, now))
                .await
        })
    }

    fn compare_and_set<'a>(
        &'a self,
        key: Key<'a>,
        version: Version,
        value: Vec<u8>,
        expires: UnixSeconds,
        now: UnixSeconds,
    ) -> Answer<'a, Swap> {
        Box::pin(async move {
            key.admit(&value)?;
            let (space, id) = (key.space, key.id.to_owned());
            let set = move |db: &Connection| {
                statements::compare_and_set(db, Key { space, id: &id }, version, &value, expires, now)
            };
            self.writer.run(set).await
        })
    }

    fn delete<'a>(&'a self, key: Key<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            let (space, id) = (key.space, key.id.to_owned());
            self.writer
                .run(move |db| statements::delete(db, Key { space, id: &id }))
                .await
        })
    }

    fn sweep(&self, now: UnixSeconds, limit: usize) -> Answer<'_, usize> {
        Box::pin(self.writer.run(move |db| statements::sweep(db, now, limit)))
    }

    /// Not on the reader: counting takes as long as there are records, and would hold up every `get`.
    fn count(&self, space: Space, now: UnixSeconds) -> Answer<'_, u64> {
        Box::pin(self.writer.run(move |db| statements::count(db, space, now)))
    }

    /// Not on the reader, for the same reason.
    fn list<'a>(
        &'a self,
        space: Space,
        after: &'a str,
        limit: usize,
        now: UnixSeconds,
    ) -> Answer<'a, Vec<(String, Record)>> {
        let after = after.to_owned();
        Box::pin(
            self.writer
                .run(move |db| statements::list(db, space, &after, limit, now)),
        )
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(self.writer.run(statements::ping))
    }
}

//! The operations of the contract in SQL, one prepared statement or two each. The caller sees to the transaction.
//!
//! Versions are random: a counter would be one more row to write, and 64 bits do not repeat.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::{Key, Put, Record, Space, Swap, UnixSeconds, Version};

pub(super) fn put_if_absent(
    db: &Connection,
    key: Key<'_>,
    value: &[u8],
    expires: UnixSeconds,
    now: UnixSeconds,
) -> Result<Put> {
    let sql = "INSERT INTO record (space, id, value, version, expires) VALUES (?1, ?2, ?3, random(), ?4)
               ON CONFLICT (space, id) DO UPDATE
               SET value = excluded.value, version = excluded.version, expires = excluded.expires
               WHERE record.expires <= ?5
               RETURNING version";
    let written = db
        .prepare_cached(sql)?
        .query_row(
            params![key.space.name(), key.id, value, expires.stored(), now.stored()],
            version,
        )
        .optional()?;
    Ok(written.map_or(Put::Exists, Put::Done))
}

pub(super) fn get(db: &Connection, key: Key<'_>, now: UnixSeconds) -> Result<Option<Record>> {
    let sql = "SELECT version, value, expires FROM record WHERE space = ?1 AND id = ?2 AND expires > ?3";
    db.prepare_cached(sql)?
        .query_row(params![key.space.name(), key.id, now.stored()], record)
        .optional()
}

pub(super) fn take(db: &Connection, key: Key<'_>, now: UnixSeconds) -> Result<Option<Vec<u8>>> {
    let sql = "DELETE FROM record WHERE space = ?1 AND id = ?2 AND expires > ?3 RETURNING value";
    db.prepare_cached(sql)?
        .query_row(params![key.space.name(), key.id, now.stored()], |row| row.get(0))
        .optional()
}

pub(super) fn compare_and_set(
    db: &Connection,
    key: Key<'_>,
    read: Version,
    value: &[u8],
    expires: UnixSeconds,
    now: UnixSeconds,
) -> Result<Swap> {
    let sql = "UPDATE record SET value = ?4, version = random(), expires = ?5
               WHERE space = ?1 AND id = ?2 AND version = ?3 AND expires > ?6
               RETURNING version";
    let written = db
        .prepare_cached(sql)?
        .query_row(
            params![
                key.space.name(),
                key.id,
                read.0,
                value,
                expires.stored(),
                now.stored()
            ],
            version,
        )
        .optional()?;
    match written {
        Some(version) => Ok(Swap::Done(version)),
        None if exists(db, key, now)? => Ok(Swap::Conflict),
        None => Ok(Swap::Gone),
    }
}

fn exists(db: &Connection, key: Key<'_>, now: UnixSeconds) -> Result<bool> {
    let sql = "SELECT 1 FROM record WHERE space = ?1 AND id = ?2 AND expires > ?3";
    db.prepare_cached(sql)?
        .exists(params![key.space.name(), key.id, now.stored()])
}

pub(super) fn delete(db: &Connection, key: Key<'_>) -> Result<()> {
    let sql = "DELETE FROM record WHERE space = ?1 AND id = ?2";
    db.prepare_cached(sql)?
        .execute(params![key.space.name(), key.id])?;
    Ok(())
}

pub(super) fn sweep(db: &Connection, now: UnixSeconds, limit: usize) -> Result<usize> {
    let sql = "DELETE FROM record WHERE (space, id) IN
               (SELECT space, id FROM record WHERE expires <= ?1 ORDER BY expires LIMIT ?2)";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    db.prepare_cached(sql)?.execute(params![now.stored(), limit])
}

pub(super) fn count(db: &Connection, space: Space, now: UnixSeconds) -> Result<u64> {
    let sql = "SELECT count(*) FROM record INDEXED BY record_expires WHERE space = ?1 AND expires > ?2";
    let count: i64 = db
        .prepare_cached(sql)?
        .query_row(params![space.name(), now.stored()], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

pub(super) fn list(
    db: &Connection,
    space: Space,
    after: &str,
    limit: usize,
    now: UnixSeconds,
) -> Result<Vec<(String, Record)>> {
    let sql = "SELECT version, value, expires, id FROM record
               WHERE space = ?1 AND id > ?2 AND expires > ?3 ORDER BY id LIMIT ?4";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map(params![space.name(), after, now.stored(), limit], |row| {
        Ok((row.get(3)?, record(row)?))
    })?;
    rows.collect()
}

pub(super) fn ping(db: &Connection) -> Result<()> {
    db.prepare_cached("SELECT 1 FROM record LIMIT 1")?.exists([])?;
    Ok(())
}

fn version(row: &Row<'_>) -> Result<Version> {
    row.get(0).map(Version)
}

fn record(row: &Row<'_>) -> Result<Record> {
    let expires = UnixSeconds::from_stored(row.get(2)?);
    Ok(Record {
        version: version(row)?,
        value: row.get(1)?,
        expires,
    })
}

//! The operations of the store and what they promise. `tests/contract` holds every engine to it.

use std::pin::Pin;

use crate::{Error, Key, Record, Space, UnixSeconds, Version};

/// What every operation of the store returns.
///
/// Nothing happens before the first poll. A future dropped half-way may or may not have taken effect.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Records by key, each with a version and an end.
///
/// - **Atomic.** Each operation is one step: of many callers racing for one key, one wins.
/// - **Durable.** When a change is answered with `Ok`, it survives the end of this process, and a power cut
///   as far as the engine's disk tells the truth (not in `memory:`, of course).
/// - **Seen at once.** A call that begins after that answer sees the change.
/// - **Expired is absent.** A record exists while `now < expires`. From that second on no operation returns
///   it and no new record has to make way for it, whether it was swept or not.
/// - **The caller's clock.** `expires` is compared with the caller's `now` alone. An engine that removes records by a clock
///   of its own does so late enough for the two clocks to differ.
/// - **Limits first.** A key or value over its limit is refused before anything is written. Nothing is ever
///   kept under such a key, so asking for it finds nothing.
///
/// After [`Error::Unavailable`] the fate of a change is unknown: look before you repeat it.
pub trait Store: Send + Sync {
    /// Writes the record unless one is there already.
    fn put_if_absent<'a>(
        &'a self,
        key: Key<'a>,
        value: Vec<u8>,
        expires: UnixSeconds,
        now: UnixSeconds,
    ) -> Answer<'a, Put>;

    /// Returns the record.
    fn get<'a>(&'a self, key: Key<'a>, now: UnixSeconds) -> Answer<'a, Option<Record>>;

    /// Removes the record and returns its value: consume-once, exactly one caller gets it.
    fn take<'a>(&'a self, key: Key<'a>, now: UnixSeconds) -> Answer<'a, Option<Vec<u8>>>;

    /// Replaces the record, provided it is still the one that was read at `version`.
    fn compare_and_set<'a>(
        &'a self,
        key: Key<'a>,
        version: Version,
        value: Vec<u8>,
        expires: UnixSeconds,
        now: UnixSeconds,
    ) -> Answer<'a, Swap>;

    /// Removes the record, whatever it holds; that there was none is no error.
    fn delete<'a>(&'a self, key: Key<'a>) -> Answer<'a, ()>;

    /// Removes at most `limit` expired records, the longest expired first, and returns how many.
    ///
    /// Fewer than `limit` means that none is left. Housekeeping only: see "Expired is absent".
    fn sweep(&self, now: UnixSeconds, limit: usize) -> Answer<'_, usize>;

    /// Returns how many records of one space exist. It looks at all of them: for metrics, not for each request.
    fn count(&self, space: Space, now: UnixSeconds) -> Answer<'_, u64>;

    /// Returns at most `limit` records of one space whose ids come after `after`, in the order of their ids' bytes.
    ///
    /// Fewer than `limit` means that these are the last. For a start and for administrators, not for each request.
    fn list<'a>(
        &'a self,
        space: Space,
        after: &'a str,
        limit: usize,
        now: UnixSeconds,
    ) -> Answer<'a, Vec<(String, Record)>>;

    /// Asks whether the engine works, on the way that a change takes.
    fn ping(&self) -> Answer<'_, ()>;
}

/// What became of [`Store::put_if_absent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Put {
    /// Written; this is its version.
    Done(Version),
    /// There is one already; nothing was changed.
    Exists,
}

/// What became of [`Store::compare_and_set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Swap {
    /// Replaced; this is the new version.
    Done(Version),
    /// Another caller wrote it since; read again. Nothing was changed.
    Conflict,
    /// There is no such record (any more). Nothing was changed.
    Gone,
}

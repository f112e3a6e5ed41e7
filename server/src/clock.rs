//! The time, as it is kept and compared. The wall clock is read here and nowhere else.

use std::time::{SystemTime, UNIX_EPOCH};

use store::UnixSeconds;

/// Returns the time.
pub(crate) fn now() -> UnixSeconds {
    UnixSeconds::new(epoch_millis() / 1000)
}

/// Returns the milliseconds since 1970.
pub(crate) fn epoch_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

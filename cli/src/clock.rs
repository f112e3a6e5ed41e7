//! The time of day, as the protocol counts it.

use std::time::SystemTime;

/// Returns the seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_secs())
}

/// Returns how many seconds are left until `time`, 0 when it has passed.
pub(crate) fn left(time: u64) -> u64 {
    time.saturating_sub(now())
}
